"""The part of the cache backend that names keys, and lets what a transaction writes wait."""

import re
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any

from django.core.cache import caches
from django.core.cache.backends import base
from django.core.cache.backends.base import (
    DEFAULT_TIMEOUT,
    BaseCache,
    InvalidCacheKey,
    default_key_func,
)

from caching.engine.envelope import CODECS
from caching.engine.reading import MISSING
from caching.engine.tiered import Tiered
from caching.services import transactions
from caching.services.engines import engine_of
from caching.services.transactions import GONE, Waiting

MAX_KEY_LENGTH = 1000
_odd = re.compile(r"[\x00-\x20\x7f]").search
_WARN_LENGTH = 250  # what memcached takes: Django warns of longer keys
_MOST_WARNED = 1000
_FOR_EVER_SECONDS = 100 * 366 * 86_400  # Redis takes no end that is too far away
_warned: dict[Any, Any] = vars(base).setdefault("__warningregistry__", {})


class CommittedCache(BaseCache):
    """A cache whose changes are seen by others once they are committed, and never before."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.engine = engine_of(location)
        self.tiers: Tiered = self.engine.cache
        self._own_timeout = "TIMEOUT" in params or "timeout" in params
        self._uncommitted: set[int] = set()  # threads that may have something to commit
        if transactions.is_open():  # another alias may have written
            self._uncommitted.add(get_ident())

    @property
    def key_func(self) -> Callable[[Any, str, int], str]:
        """What makes a name of a key; Django's own is not even called."""
        return self._key_func

    @key_func.setter
    def key_func(self, function: Callable[[Any, str, int], str]) -> None:
        self._key_func = function
        plain = function is default_key_func
        self._head = f"{self.key_prefix}:{self.version}:" if plain else None

    # --- Names, times --------------------------------------------------------------------------

    def name_of(self, key: Any, version: int | None = None) -> str:
        """Return a key's full name. Raises InvalidCacheKey."""
        if version is None and self._head is not None:
            name = f"{self._head}{key}"
        else:
            name = self.make_key(key, version=version)
        if len(name) > _WARN_LENGTH or _odd(name):
            self.validate_key(name)  # warns
            if len(_warned) > _MOST_WARNED:  # Python keeps each text for ever
                _warned.clear()
            if len(name) > MAX_KEY_LENGTH:
                raise InvalidCacheKey(f"A key may have up to {MAX_KEY_LENGTH} characters.")
        if not name.isascii():
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise InvalidCacheKey(f"A key must be encodable as UTF-8: {error}") from error
        return name

    def head_of(self, version: int | None = None) -> str:
        """Return what the names of a version begin with."""
        return self.name_of("", version)

    def seconds(self, key: str, timeout: Any) -> float | None:
        """Return the seconds a value is to live; None for ever, 0 not at all."""
        if timeout is not DEFAULT_TIMEOUT:
            return _bounded(timeout)
        space = self.tiers.spaces.of(key)
        if space is self.tiers.spaces.default and self._own_timeout:
            return _bounded(self.default_timeout)
        return space.settings.ttl

    @property
    def has_uncommitted(self) -> bool:
        """Whether something may wait for the commit of this thread's transaction."""
        return bool(self._uncommitted) and get_ident() in self._uncommitted

    def changed(self, name: str) -> Any:
        """Return what this thread's transaction has made of a name, GONE, or MISSING."""
        return transactions.seen(self._mine(), name) if self._uncommitted else MISSING

    def _mine(self) -> list[Waiting]:
        if not self.has_uncommitted:
            return []
        if not transactions.is_open():
            self._uncommitted.discard(get_ident())
            return []
        return transactions.waiting(self.tiers)

    def write(
        self,
        changes: Mapping[str, Any],
        apply: Callable[[], Any],
        covers: Callable[[str], bool] | None = None,
    ) -> Any:
        """Apply a change now, or with the commit of the transaction that this thread is in.

        `changes` and `covers` are what the transaction's own reads see of it.
        """
        self.engine.ready()
        if not transactions.is_open():
            return apply()
        self.write_later(changes, apply, covers)
        return None

    def write_later(
        self,
        changes: Mapping[str, Any],
        apply: Callable[[], Any],
        covers: Callable[[str], bool] | None = None,
    ) -> None:
        """Apply a change with the commit of the transaction that this thread is in."""
        for one in (self, *caches.all(initialized_only=True)):  # other aliases may have its keys
            if isinstance(one, CommittedCache):
                one._uncommitted.add(get_ident())
        transactions.defer(self.tiers, changes, apply, covers)

    def waiting_value(self, key: str, value: Any, ttl: float | None) -> Any:
        """Return a written value as it waits. Raises what the commit would raise too late."""
        codec = CODECS[self.tiers.spaces.of(key).settings.codec]
        if ttl == 0:
            return GONE
        return transactions.change(value if codec.exact else codec.load(codec.dump(value)), ttl)


def _bounded(timeout: Any) -> float | None:
    if timeout is None:
        return None
    # An int may be larger than any float.
    seconds = timeout if isinstance(timeout, int) else float(timeout)
    return None if seconds >= _FOR_EVER_SECONDS else float(max(0, seconds))

"""One load: get the right to store, make the value, store it unless something changed meanwhile.

Source: leases (Nishtala et al., Scaling Memcache at Facebook, NSDI 2013).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from caching.engine.copies import Found
from caching.engine.namespace import Namespace, Space
from caching.engine.reading import Reads
from caching.engine.remote import Away, Item, Lease
from caching.engine.watches import Watch

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.005, 0.1
_MOST_FAILURES = 10_000


@dataclass(slots=True)
class Load:
    """One thing to load: where it is kept, how it is made. `ttl` None keeps it for ever."""

    name: str
    space: Space
    make: Callable[[], Any]
    ttl: float | None
    tags: Sequence[str] = ()
    anew: bool = False  # even where there is a value

    @property
    def settings(self) -> Namespace:
        return self.space.settings


class Filling:
    """Makes values and stores them. `sleep` waits so many seconds for other processes."""

    def __init__(self, cache: Reads, sleep: Callable[[float], None] = time.sleep) -> None:
        self._cache, self._sleep = cache, sleep
        self._retry_at: dict[str, float] = {}  # when a name that failed may be tried again

    def is_throttled(self, name: str) -> bool:
        """Say whether a load failed lately, so that the stale value is to be served meanwhile."""
        return self._cache.clock() < self._retry_at.get(name, 0.0)

    def obtain(self, load: Load, seen: Found | None, watch: Watch) -> Any:
        cache, lease, alone = self._cache, None, not load.settings.l2
        if load.settings.l2:
            found, lease, alone = self._lease(load, seen, watch)
            if found is not None:
                return found.value
        started = time.perf_counter()
        try:
            value = load.make()
        except Exception:
            load.space.count("failed_loads")
            self._give_back(load, lease)
            if seen is None or cache.wall() >= seen.expires + load.settings.stale_if_error_seconds:
                raise
            if len(self._retry_at) >= _MOST_FAILURES:
                self._retry_at.clear()
            self._retry_at[load.name] = cache.clock() + load.settings.retry_seconds
            load.space.count("stale")
            return seen.value
        except BaseException:
            self._give_back(load, lease)
            raise
        took = time.perf_counter() - started
        self._retry_at.pop(load.name, None)
        load.space.loaded(took)
        if lease is not None or alone:
            self._store(load, value, took, lease, watch)
        return value

    def _lease(
        self, load: Load, seen: Found | None, watch: Watch
    ) -> tuple[Found | None, Lease | None, bool]:
        """Get the right to store, or the value that another process has made meanwhile.

        The third says that Redis is away, so that this process is alone.
        """
        cache, pause = self._cache, _FIRST_PAUSE_SECONDS
        deadline = cache.clock() + load.settings.load_seconds
        lease_ms = max(1, round(load.settings.load_seconds * 1000))
        header = seen.header if seen is not None else b""
        while cache.reachable():
            try:
                data, lease, busy_ms = cache.remote.begin(load.space, load.name, lease_ms, header)
            except Away:
                break
            if data is not None:
                found = cache.opened(load.space, load.name, data, watch)
                if found is not None:
                    return found, None, False
                cache.discard(load.space, load.name)
                continue
            if lease is not None:
                return None, lease, False
            if seen is not None and not load.anew and cache.wall() < seen.stale_until:
                return seen, None, False
            if cache.clock() >= deadline:
                return None, None, False
            self._sleep(min(pause, busy_ms / 1000))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return None, None, True

    def _give_back(self, load: Load, lease: Lease | None) -> None:
        if lease is not None:
            with suppress(Away):  # it expires
                self._cache.remote.give_back(lease, load.space.name, load.name)

    def _store(
        self, load: Load, value: Any, took: float, lease: Lease | None, watch: Watch
    ) -> None:
        """Keep what was made, unless news has voided it. Without a lease, in this process alone."""
        try:
            item, found = self._item(load, value, took)
        except Exception:  # it cannot be encoded
            self._give_back(load, lease)
            raise
        if item is None or found is None:
            self._give_back(load, lease)
            return
        seq = 0 if lease is None else self._fill(load, lease, item)
        if seq is not None:
            self._cache.keep(load.space, load.name, found, watch, seq)

    def _item(self, load: Load, value: Any, took: float) -> tuple[Item, Found] | tuple[None, None]:
        """Return what is to be stored of a value; nothing where none is."""
        ttl = load.ttl
        if value is None:
            negative = load.settings.negative_seconds
            ttl = negative if ttl is None else min(ttl, negative)
            if not negative:
                return None, None
        item, found = self._cache.packed(load.space, load.name, value, ttl, load.tags, took)
        if len(item.payload) > self._cache.settings.max_value_bytes:
            load.space.count("too_large")
            return None, None
        return item, found

    def _fill(self, load: Load, lease: Lease, item: Item) -> int | None:
        try:
            seq = self._cache.remote.fill(lease, item)
        except Away:
            self._cache.pending.add_name(load.space.name, load.name)
            return None
        if seq is None:
            load.space.count("refused")
        return seq

    # --- Within a transaction ------------------------------------------------------------------

    def begin_apart(self, load: Load) -> Lease | None:
        """Begin a load whose value is stored later, if at all; it keeps nobody from loading."""
        cache = self._cache
        if not load.settings.l2 or not cache.reachable():
            return None
        lease_ms = max(1, round(load.settings.load_seconds * 1000))
        try:
            return cache.remote.begin(load.space, load.name, lease_ms, b"", yields=True)[1]
        except Away:
            return None

    def store_apart(self, load: Load, value: Any, took: float, lease: Lease | None) -> None:
        """Store what `begin_apart` began, unless something changed meanwhile.

        Only the second tier is filled: nobody has watched the first one's news.
        """
        if lease is not None and (item := self._item(load, value, took)[0]) is not None:
            self._fill(load, lease, item)

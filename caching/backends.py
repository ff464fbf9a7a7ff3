"""The Django cache backend: `CACHES["default"]["BACKEND"] = "caching.backends.TieredCache"`.

LOCATION is the alias of the django-redis cache that is its second tier.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from caching.engine.entry import Entry
from caching.engine.reading import MISSING
from caching.engine.usage import HOT_MASK, RECENT_SECONDS
from caching.services import invalidation, loads, transactions
from caching.services.committed import CommittedCache
from caching.services.transactions import GONE


class TieredCache(CommittedCache):
    """Copies in the process over values in Redis, coherent with every other process."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(location, params)
        self._held = self.tiers.store.entries.get
        self._line, self._curve = self.tiers.line, self.tiers.usage.curve

    # --- Reading -------------------------------------------------------------------------------

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        if version is None and not self._uncommitted:
            try:
                name = self._head + key
            except TypeError:  # a key that is no text, or a key function
                return self._get(key, default, version)
            held = self._held  # a call of an attribute is slower than that of a local name
            entry = held(name)
            if entry is not None:
                now = monotonic()
                if now < self._line.fresh_until and now < entry.expires:
                    # What Tiered.hit does, without the calls.
                    if now - entry.used > RECENT_SECONDS and hash(name) < self._curve.threshold:
                        self._curve.note(name, entry.size_bytes, now)
                    entry.used = now
                    entry.hits += 1
                    hit = entry.hit
                    if not hit() & HOT_MASK:
                        self.tiers.sampled(entry)
                    return entry.value if type(entry) is Entry else entry.thaw(entry.value)
        return self._get(key, default, version)

    def _get(self, key: Any, default: Any, version: int | None) -> Any:
        self.engine.ready()
        name = self.name_of(key, version)
        changed = self.changed(name)
        if changed is not MISSING:
            return default if changed is GONE else transactions.value_of(changed)
        found = self.tiers.get(name, str(key))
        return default if found is MISSING else found

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        self.engine.ready()
        name_of = self.name_of
        names = {name_of(key, version): key for key in keys}
        found: dict[Any, Any] = {}
        mine = self._mine()
        for name, key in list(names.items()) if mine else ():
            changed = transactions.seen(mine, name)
            if changed is not MISSING:
                del names[name]
                if changed is not GONE:
                    found[key] = transactions.value_of(changed)
        held = self.tiers.get_many({name: str(key) for name, key in names.items()})
        return found | {names[name]: value for name, value in held.items()}

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """Return a value; where there is none make it, once among all threads and processes."""
        return loads.get_or_load(
            self, key, default if callable(default) else lambda: default, timeout, version=version
        )

    # --- Writing -------------------------------------------------------------------------------

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store unless it is there, at once even in a transaction: callers use it as a lock."""
        self.engine.ready()
        name, text = self.name_of(key, version), str(key)
        changed = self.changed(name)
        if changed is not MISSING and changed is not GONE:
            return False
        ttl = self.seconds(text, timeout)
        if changed is GONE:
            self.set(key, value, timeout, version)
            return True
        if ttl == 0:
            return self.tiers.get(name, text) is MISSING
        return self.tiers.set(name, text, value, ttl, mode="add")

    def set(
        self,
        key: Any,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> None:
        """Store a value; `tags` are what it can be invalidated by."""
        self.engine.ready()
        name, text = self.name_of(key, version), str(key)
        tags = invalidation.checked_tags(tags)
        ttl = self.seconds(text, timeout)

        def apply(value: Any) -> None:
            if ttl == 0:
                self.tiers.delete([(name, text)])
            else:
                self.tiers.set(name, text, value, ttl, tags=tags)

        if transactions.is_open():
            changed = self.waiting_value(text, value, ttl)
            self.write_later({name: changed}, lambda: apply(transactions.value_of(changed)))
        else:
            apply(value)

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> list[Any]:
        """Store values; return the keys that were refused as too large."""
        self.engine.ready()
        tags = invalidation.checked_tags(tags)
        names = {self.name_of(key, version): key for key in data}
        by_ttl: dict[float | None, dict[str, tuple[str, Any]]] = {}
        for name, key in names.items():
            ttl = self.seconds(str(key), timeout)
            by_ttl.setdefault(ttl, {})[name] = (str(key), data[key])
        failed: list[str] = []

        def apply(changes: Mapping[str, Any] | None = None) -> None:
            for ttl, values in by_ttl.items():
                if ttl == 0:
                    self.tiers.delete([(name, key) for name, (key, _) in values.items()])
                    continue
                if changes is not None:
                    values = {
                        name: (key, transactions.value_of(changes[name]))
                        for name, (key, _) in values.items()
                    }
                stored = self.tiers.set_many(values, ttl, tags=tags)
                failed.extend(name for name, done in zip(values, stored, strict=True) if not done)

        if not transactions.is_open():
            apply()
            return [names[name] for name in failed]
        changes = {
            name: self.waiting_value(key, value, ttl)
            for ttl, values in by_ttl.items()
            for name, (key, value) in values.items()
        }
        self.write_later(changes, lambda: apply(changes))
        return []

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        self.engine.ready()
        name, text = self.name_of(key, version), str(key)
        changed = self.changed(name)
        if changed is GONE:
            return False
        if changed is not MISSING:
            self.set(key, transactions.value_of(changed), timeout, version)
            return True
        ttl = self.seconds(text, timeout)
        if ttl == 0:
            return self.delete(key, version)
        return self.tiers.change(name, text, lambda value, _: (value, ttl)) is not MISSING

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        """Add to a number, at once even in a transaction. Raises ValueError where there is none."""
        self.engine.ready()
        name, text = self.name_of(key, version), str(key)
        changed = self.changed(name)
        if changed is MISSING:
            found = self.tiers.change(name, text, lambda value, ttl: (value + delta, ttl))
        elif changed is GONE:
            found = MISSING
        else:
            found = transactions.value_of(changed) + delta
            self.set(key, found, changed[2], version)
        if found is MISSING:
            raise ValueError(f"Key {key!r} not found")
        return found

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Delete a value; say whether there was one (in a transaction: as far as it sees)."""
        name, text = self.name_of(key, version), str(key)
        if transactions.is_open():
            was_there = self.get(key, MISSING, version) is not MISSING
            self.write({name: GONE}, lambda: self.tiers.delete([(name, text)]))
            return was_there
        self.engine.ready()
        return self.tiers.delete([(name, text)]) > 0

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        names = {self.name_of(key, version): str(key) for key in keys}
        if names:
            self.write(dict.fromkeys(names, GONE), lambda: self.tiers.delete(list(names.items())))

    def clear(self) -> None:
        """Invalidate every namespace: what they held is out of reach at once, and swept later."""
        self.engine.ready()
        invalidation.namespaces(self, tuple(self.tiers.spaces.by_name))

    def glance(self, key: Any, version: int | None = None) -> Any:
        """Return the value of a copy that needs nothing of anybody, else MISSING."""
        if self._uncommitted or version is not None or self._head is None:
            return MISSING
        return self.engine.loading.glance(f"{self._head}{key}")

    # --- Beyond Django's -----------------------------------------------------------------------

    def get_or_load(
        self,
        key: str,
        load: Callable[[], Any],
        timeout: Any = DEFAULT_TIMEOUT,
        *,
        tags: Sequence[str] = (),
        version: int | None = None,
    ) -> Any:
        """Return a value, or what `load` makes of it; see `caching.services.loads.get_or_load`."""
        return loads.get_or_load(self, key, load, timeout, tags=tags, version=version)

    def delete_pattern(self, pattern: str, version: int | None = None) -> int:
        """Delete the keys that fit a glob (`*`, `?`); return how many. Raises BadPattern."""
        return invalidation.pattern(self, pattern, version)

    async def aget_or_load(
        self,
        key: str,
        load: Callable[[], Awaitable[Any]],
        timeout: Any = DEFAULT_TIMEOUT,
        *,
        tags: Sequence[str] = (),
        version: int | None = None,
    ) -> Any:
        """Return a value, or what the coroutine function `load` makes of it."""
        return await loads.aget_or_load(self, key, load, timeout, tags=tags, version=version)

    # --- From asyncio: a copy needs no thread --------------------------------------------------

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        if not self._uncommitted:
            entry, now = self.tiers.peek(self.name_of(key, version)), monotonic()
            if entry is not None and now < entry.expires:
                return self.tiers.hit(entry, now)
        return await sync_to_async(self._get)(key, default, version)

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        return await sync_to_async(self.get_many)(keys, version)

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Sequence[str] = (),
    ) -> list[Any]:
        return await sync_to_async(self.set_many)(data, timeout, version, tags=tags)

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        await sync_to_async(self.delete_many)(keys, version)

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> Any:
        return await sync_to_async(self.incr)(key, delta, version)

    async def aget_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        return await sync_to_async(self.get_or_set)(key, default, timeout, version)

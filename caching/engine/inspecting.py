"""Looking at one value, in both tiers, with all that is known of it."""

from dataclasses import dataclass
from typing import Any, Literal

from caching.engine.copies import FOREVER, Found
from caching.engine.entry import Entry
from caching.engine.envelope import Header, header_of
from caching.engine.namespace import Space
from caching.engine.reading import Reads
from caching.engine.remote import Away
from caching.engine.store import weigh


@dataclass(frozen=True, slots=True)
class Inspected:
    """A value and its circumstances; None where only Redis knows, and is not asked or away.

    `tier` is where a reader of this process is served from; `size_bytes` is what Redis stores,
    `l1_bytes` what the copy of this process takes (None: there is none). `ttl_seconds` None is for
    ever, and below 0 the value is stale: `stale_seconds` are left to serve it as such.
    """

    value: Any
    tier: Literal["l1", "l2"]
    size_bytes: int | None
    l1_bytes: int | None
    ttl_seconds: float | None
    stale_seconds: float | None
    age_seconds: float | None
    load_seconds: float
    codec: str | None
    compressed: bool | None
    generation: int

    @property
    def is_stale(self) -> bool:
        """Whether its time is over: a plain reader finds nothing."""
        return self.ttl_seconds is not None and self.ttl_seconds <= 0


def inspect(cache: Reads, name: str, key: str, *, keep: bool = False) -> Inspected | None:
    """Return what there is under a name; with `keep` a copy of it stays in the process.

    Both tiers are asked: a copy does not know how long its value lives in Redis. Where Redis is
    away, or no part of the namespace, the copy is all that is known.
    """
    space, entry = cache.spaces.of(key), cache.peek(name)
    if not space.settings.l2 or not cache.reachable():
        return _of_copy(cache, space, entry)
    watch = cache.watches.open(name)
    try:
        data = cache.remote.get(space, name)
        found = cache.opened(space, name, data, watch if keep else None)
    except Away:
        return _of_copy(cache, space, entry)
    finally:
        cache.watches.close(watch)
    if data is None or found is None:
        return None
    return _inspected(cache, space, entry, found, header_of(data), len(data))


def _of_copy(cache: Reads, space: Space, entry: Entry | None) -> Inspected | None:
    if entry is None or cache.clock() >= max(entry.expires, entry.stale_until):
        return None
    offset = cache.wall() - cache.clock()
    expires, stale_until = entry.expires + offset, entry.stale_until + offset
    found = Found(entry.get(), expires, stale_until, entry.load_seconds)
    return _inspected(cache, space, entry, found)


def _inspected(
    cache: Reads,
    space: Space,
    entry: Entry | None,
    found: Found,
    header: Header | None = None,
    size_bytes: int | None = None,
) -> Inspected:
    now = cache.wall()
    held = entry is not None and (header is None or cache.clock() < entry.expires)
    return Inspected(
        value=found.value,
        tier="l1" if held else "l2",
        size_bytes=size_bytes,
        l1_bytes=weigh(entry.key, entry.value) if entry is not None else None,
        ttl_seconds=None if found.expires == FOREVER else found.expires - now,
        stale_seconds=None if found.stale_until == FOREVER else max(0.0, found.stale_until - now),
        age_seconds=max(0.0, now - header.written) if header is not None else None,
        load_seconds=found.load_seconds,
        codec=header.codec if header is not None else None,
        compressed=header.compressed if header is not None else None,
        generation=int(space.generation),
    )

"""Reading through both tiers, and what must happen before the second may be read."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from caching.engine import mapping
from caching.engine.copies import Copies, Found
from caching.engine.entry import Entry, Packed
from caching.engine.envelope import Sealer, Unreadable
from caching.engine.namespace import Space
from caching.engine.packing import Packing
from caching.engine.pending import Pending
from caching.engine.remote import Away, Remote, chunks
from caching.engine.usage import HOT_MASK
from caching.engine.watches import Watch


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()


class Reads(Copies):
    """What of a cache reads. Names are as values are stored, keys as their callers say them."""

    def __init__(
        self,
        remote: Remote,
        sealer: Sealer,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(clock, wall)
        self.remote = remote
        packing = Packing(sealer, wall, jitter)
        self.packed, self._unpacked = packing.pack, packing.unpack
        self.pending = Pending()
        self.alarm = ""  # what was wrong with the last unreadable payload

    def forget(self) -> None:
        """Drop every copy and what goes on, as after a fork."""
        super().forget()
        self.pending.forget()
        self.alarm = ""

    def hit(self, entry: Entry, now: float) -> Any:
        """Return a copy's value, and count it as used."""
        self.usage.used(entry, now)
        entry.used = now
        entry.hits += 1
        if not entry.hit() & HOT_MASK:
            self.sampled(entry)
        return entry.get()

    def sampled(self, entry: Entry) -> None:
        """Note one of several hits: what is hit often is held so that it comes quickly."""
        self.usage.hot_keys.add(entry.key)
        if entry.hits > HOT_MASK and entry.__class__ is Packed:
            self.store.thaw(entry)

    def get(self, name: str, key: str) -> Any:
        """Return the value, or MISSING."""
        entry, now = self.peek(name), self.clock()
        if entry is not None and now < entry.expires:
            return self.hit(entry, now)
        space = self.spaces.of(key)
        self.usage.missed(name)
        found = self.fetch(space, name)
        if found is None or found.expires <= self.wall():
            space.count("misses")
            return MISSING
        space.count("l2_hits")
        return found.value

    def get_many(self, wanted: Mapping[str, str]) -> dict[str, Any]:
        """Return the values of those names (with their keys) that are there."""
        found: dict[str, Any] = {}
        missing: list[tuple[Space, str]] = []
        now, peek, space_of, missed = self.clock(), self.peek, self.spaces.of, self.usage.missed
        for name, key in wanted.items():
            entry = peek(name)
            if entry is not None and now < entry.expires:
                found[name] = self.hit(entry, now)
                continue
            missed(name)
            space = space_of(key)
            if space.settings.l2:
                missing.append((space, name))
            else:
                space.count("misses")
        for part in chunks(missing):
            found.update(self._fetch_many(part))
        return found

    def _fetch_many(self, part: Sequence[tuple[Space, str]]) -> dict[str, Any]:
        watch, found = self.watches.open_many([name for _, name in part]), {}
        kept: list[tuple[Space, str, Found]] = []
        try:
            held = self.remote.get_many(part) if self.reachable() else [None] * len(part)
            now = self.wall()
            for (space, name), data in zip(part, held, strict=True):
                one = self._open(space, name, data) if data is not None else None
                if one is None or one.expires <= now:
                    space.counts["misses"].add_one()
                    continue
                space.counts["l2_hits"].add_one()
                found[name] = one.value
                kept.append((space, name, one))
            self.keep_many(kept, watch, 0)
        except Away:
            for space, _ in part:
                space.count("misses")
        finally:
            self.watches.close(watch)
        return found

    def fetch(self, space: Space, name: str) -> Found | None:
        """Read the second tier, and keep a copy; what is past its TTL is returned too."""
        if not space.settings.l2 or not self.reachable():
            return None
        watch = self.watches.open(name)
        try:
            return self.opened(space, name, self.remote.get(space, name), watch)
        except Away:
            return None
        finally:
            self.watches.close(watch)

    def opened(
        self, space: Space, name: str, data: bytes | None, watch: Watch | None
    ) -> Found | None:
        """Open what the second tier gave, and keep a copy; what cannot be read is nothing.

        Without a watch no copy is kept.
        """
        found = self._open(space, name, data) if data is not None else None
        if found is not None and watch is not None:
            self.keep_many(((space, name, found),), watch, 0)
        return found

    def _open(self, space: Space, name: str, data: bytes) -> Found | None:
        try:
            return self._unpacked(space, name, data)
        except Unreadable as error:
            space.count("unreadable")
            self.alarm = f"{space.name}: {error}"
            return None

    def discard(self, space: Space, name: str) -> None:
        """Delete what cannot be read."""
        try:
            self.remote.delete([(space.name, name)])
        except Away:
            self.pending.add_name(space.name, name)

    def is_here_alone(self, space: Space) -> bool:
        """Say whether the second tier has nothing to say of a namespace now."""
        return not space.settings.l2 or self.is_alone

    def reachable(self) -> bool:
        """Say whether the second tier may be read: not before it knows what changed meanwhile."""
        if not self.pending.waiting:
            return True
        try:
            return self.pending.replay(self._replay)
        except Away:
            return False

    def _need_second_tier(self) -> None:
        if not self.reachable():
            raise Away("not all that changed is known to Redis yet")

    def adopt_mapping(self) -> None:
        """Agree with all processes on the mapping of prefixes, at once or when Redis is back."""
        try:
            mapping.adopt(self.remote, self.spaces.mapping)
        except Away:
            self.pending.add_mapping()

    def _replay(self, pending: Pending) -> None:
        if pending.mappings:
            mapping.adopt(self.remote, self.spaces.mapping)
        if pending.spaces:
            self.remote.bump(pending.spaces)
        for part in chunks(list(pending.names)):
            self.remote.delete(part)
        for (space, head, _), pattern in pending.patterns.items():
            self.remote.invalidate(space, pattern, head)
        for tag in pending.tags:
            self.remote.invalidate_tag(tag)

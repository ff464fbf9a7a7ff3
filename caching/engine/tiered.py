"""The two tiers as one cache: a store in the process over Redis, coherent with every other process.

Nothing here raises because Redis is away: reads miss, and what was written or invalidated meanwhile
is invalidated in Redis before it is read again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from caching.engine.copies import FOREVER, LAST, Found
from caching.engine.entry import Entry
from caching.engine.namespace import Space
from caching.engine.patterns import Pattern
from caching.engine.reading import MISSING, Reads
from caching.engine.remote import Away, Item, batches, chunks

_MOST_TRIES = 1000
_HEAR_SECONDS, _LOOK_SECONDS = 0.1, 0.0003


class Tiered(Reads):
    """One cache of this process. Names are as values are stored, keys as their callers say them."""

    def __init__(
        self, *given: Any, sleep: Callable[[float], None] = time.sleep, **named: Any
    ) -> None:
        super().__init__(*given, **named)
        self.sleep = sleep
        self._here = Lock()  # for values that no second tier compares and swaps
        self._told = 0  # the number of the newest news that this process has told

    def forget(self) -> None:
        """Drop every copy and what goes on, as after a fork."""
        super().forget()
        self._here, self._told = Lock(), 0

    def lose_all(self) -> None:
        super().lose_all()
        self._told = 0  # perhaps another Redis, with other numbers

    # --- Writing -----------------------------------------------------------------------------

    def set(
        self,
        name: str,
        key: str,
        value: Any,
        ttl: float | None,
        *,
        mode: str = "set",
        tags: Sequence[str] = (),
        expected: Any = b"",
        jitter: bool = True,
    ) -> bool:
        """Store a value for `ttl` seconds (None: for ever); say whether it was stored.

        `mode` is "set", "add" (unless one is there) or "swap" (if `expected` is there: the bytes,
        or without a second tier the copy); `tags` are what it can be invalidated by.
        """
        space = self.spaces.of(key)
        # What cannot be encoded raises here, before anything has changed.
        item, found = self.packed(space, name, value, ttl, tags, jitter=jitter)
        if len(item.payload) > self.settings.max_value_bytes:
            return self._refuse(space, name, key, keeps=mode == "add")
        if not space.settings.l2:
            return self._set_here(space, name, found, mode, expected)
        item.expected = expected
        return self._write([(item, space, found)], mode)[0]

    def set_many(
        self, values: Mapping[str, tuple[str, Any]], ttl: float | None, tags: Sequence[str] = ()
    ) -> list[bool]:
        """Store values by their names, with their keys; say of each whether it was stored."""
        results = dict.fromkeys(values, False)
        items: list[tuple[Item, Space, Found]] = []
        for name, (key, value) in values.items():
            space = self.spaces.of(key)
            item, found = self.packed(space, name, value, ttl, tags)
            if len(item.payload) > self.settings.max_value_bytes:
                self._refuse(space, name, key)
            else:
                items.append((item, space, found))
        for item, space, found in items:  # only now: one that cannot be encoded changes nothing
            if not space.settings.l2:
                results[item.name] = self._set_here(space, item.name, found)
        stored = [one for one in items if one[1].settings.l2]
        for part in batches(stored, lambda one: len(one[0].payload)):
            for (item, _, _), done in zip(part, self._write(part, "set"), strict=True):
                results[item.name] = done
        return list(results.values())

    def _refuse(self, space: Space, name: str, key: str, *, keeps: bool = False) -> bool:
        """What is too large to store must not leave an older value behind, unless it `keeps` it."""
        space.count("too_large")
        if not keeps:
            self.delete([(name, key)])
        return False

    def _write(self, part: Sequence[tuple[Item, Space, Found]], mode: str) -> list[bool]:
        names = [item.name for item, _, _ in part]
        watch = self.watches.open_many(names)
        try:
            self._need_second_tier()
            if len(part) == 1 and mode == "set" and not part[0][0].tags:
                seq, done = self.remote.set(part[0][0]), [1]
            else:
                seq, *done = self.remote.write([item for item, _, _ in part], mode=mode)
        except Away:
            for item, space, _ in part:
                self.pending.add_name(space.name, item.name)
            self.names_changed(names, LAST)  # a reader may have the old value, and not kept it yet
            for item, space, found in part if mode == "set" and self.is_alone else ():
                self._keep_anew(space, item.name, found)
            return [mode == "set"] * len(part)
        else:
            self.watches.void(names, seq)
            for (item, space, found), written in zip(part, done, strict=True):
                if written:
                    space.count("writes")
                    self.store.drop([item.name], before=seq)
                    self.keep(space, item.name, found, watch, seq)
            return [bool(one) for one in done]
        finally:
            self.watches.close(watch)

    def _set_here(
        self, space: Space, name: str, found: Found, mode: str = "set", expected: object = None
    ) -> bool:
        """Store in a namespace that has no second tier: each process has values of its own."""
        with self._here:
            held = self.peek(name)
            if held is not None and self.clock() >= held.expires:
                held = None
            if (mode == "add" and held is not None) or (mode == "swap" and held is not expected):
                return False
            self.store.drop([name])
            self._keep_anew(space, name, found)
        space.count("writes")
        return True

    def _keep_anew(self, space: Space, name: str, found: Found) -> None:
        """Keep what no earlier news has to do with, not even one of its own that comes back."""
        watch = self.watches.open(name)
        self.keep(space, name, found, watch, self._told)
        self.watches.close(watch)

    def change(
        self, name: str, key: str, step: Callable[[Any, float | None], tuple[Any, float | None]]
    ) -> Any:
        """Put what `step` makes of a value and its seconds to live (None: for ever); return that.

        Compared and swapped, so no change of another process is lost. MISSING where there is none.
        """
        space = self.spaces.of(key)
        for _ in range(_MOST_TRIES):
            watch = self.watches.open(name)
            try:
                held: Any = None
                if space.settings.l2:
                    self._need_second_tier()
                    held = self.remote.get(space, name)
                    found = self.opened(space, name, held, watch)
                else:
                    held = self.peek(name)
                    found = self._found_here(held) if held is not None else None
            except Away:
                return MISSING
            finally:
                self.watches.close(watch)
            if found is None or found.expires <= self.wall():
                return MISSING
            ttl = None if found.expires == FOREVER else found.expires - self.wall()
            value, ttl = step(found.value, ttl)
            if self.set(name, key, value, ttl, mode="swap", expected=held, jitter=False):
                return value
        return MISSING

    def _found_here(self, entry: Entry) -> Found:
        offset = self.wall() - self.clock()
        return Found(entry.get(), entry.expires + offset, entry.stale_until + offset, 0.0)

    def delete(self, names: Sequence[tuple[str, str]]) -> int:
        """Delete names (with their keys); return how many there were, as far as Redis knows."""
        count, pairs = 0, []
        for name, key in names:
            space = self.spaces.of(key)
            space.count("deletes")
            pairs.append((space, name))
        for part in chunks(pairs):
            count += self._delete(part)
        return count

    def _delete(self, part: Sequence[tuple[Space, str]]) -> int:
        names = [name for _, name in part]
        here = self.store.drop(names)
        try:
            self._need_second_tier()
            seq, count = self.remote.delete([(space.name, name) for space, name in part])
            self._told = max(self._told, seq)
        except Away:
            seq, count = LAST, here
            for space, name in part:
                self.pending.add_name(space.name, name)
        self.names_changed(names, seq)
        return max(count, here) if any(not space.settings.l2 for space, _ in part) else count

    # --- Invalidation of many ----------------------------------------------------------------

    def invalidate_pattern(
        self, head: str, pattern: Pattern, spaces: Sequence[Space] | None = None
    ) -> int:
        """Delete what fits, in these namespaces or all it can belong to; return how many values."""
        count = 0
        for space in self.spaces.within(pattern.literal) if spaces is None else spaces:
            space.count("invalidations")
            try:
                self._need_second_tier()
                count += self.remote.invalidate(space.name, pattern, head)
            except Away:
                self.pending.add_pattern(space.name, head, pattern)
            self.pattern_invalidated(head, pattern, LAST)
        return count

    def invalidate_tag(self, tag: str) -> int:
        """Delete what has the tag; return how many values. With Redis away, wait for it."""
        try:
            self._need_second_tier()
            count, names, seq = self.remote.invalidate_tag(tag)
        except Away:
            self.pending.add_tag(tag, self.spaces.by_name)
            self.lose_all()  # which copies have the tag only Redis knows
            return 0
        self._told = max(self._told, seq)
        self.tag_invalidated(tag, names, seq)  # its own next read may come before the news
        self._hear(seq)
        return count

    def _hear(self, seq: int) -> None:
        """Wait for what others told before this number, or drop every copy.

        Another process may have taken the same tag's names, and its news may be on the way.
        """
        deadline = self.clock() + _HEAR_SECONDS
        while not self.line.has_heard(seq):
            if not self.line.connected or self.clock() >= deadline:
                self.lose_all()
                return
            self.sleep(_LOOK_SECONDS)

    def invalidate_spaces(self, names: Sequence[str]) -> None:
        """Begin a new generation of namespaces; what they held is swept later."""
        for name in names:
            if name in self.spaces.by_name:
                self.spaces.by_name[name].count("invalidations")
        try:
            self._need_second_tier()
            self._told = max(self._told, self.remote.bump(names))
        except Away:
            for name in names:
                self.pending.add_space(name)
        self.drop_spaces(set(names), LAST)

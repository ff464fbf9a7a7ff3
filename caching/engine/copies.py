"""The first tier of a process: its copies, what may be served of them, and who obeys the news."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from caching.engine.entry import ALONE, KINDS, Entry
from caching.engine.line import Line
from caching.engine.namespace import Namespace, Space, Spaces
from caching.engine.patterns import Pattern
from caching.engine.remote import fits
from caching.engine.store import Store, weigh
from caching.engine.usage import Usage
from caching.engine.values import freeze
from caching.engine.watches import Watch, Watches, mark_of

FOREVER = float("inf")
MOST_SHARED = 0.9  # of the budget: the rest is for namespaces without a share
LAST = 1 << 62  # the number of news that comes after all others


class Settings(msgspec.Struct, frozen=True):
    """What an admin sets for the cache as a whole."""

    enabled: bool = True
    l1_budget_bytes: int = 200 * 1024**2
    l1_policy: str = "lru"
    l1_largest_percent: float = 5.0
    max_staleness_seconds: float = 1.0
    max_value_bytes: int = 16 * 1024**2
    sample_keys: int = 10_000
    namespaces: tuple[Namespace, ...] = ()


@dataclass(slots=True)
class Found:
    """A value as it was found, perhaps past its TTL; `header` names it in the second tier."""

    value: Any
    expires: float
    stale_until: float
    load_seconds: float
    header: bytes = b""


class Copies:
    """The copies that this process holds. `clock` is monotonic, `wall` the time of day."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self.clock, self.wall = clock, wall
        self.settings = Settings()
        self.spaces = Spaces()
        self.store = Store(self.settings.l1_budget_bytes)
        self.watches = Watches()
        self.usage = Usage()
        self.line = Line(self, clock)

    def configure(self, settings: Settings) -> None:
        """Obey new settings at once."""
        before, self.settings = self.settings, settings
        self.line.max_staleness_seconds = settings.max_staleness_seconds
        self.usage.resize(settings.sample_keys)
        moved = self.spaces.configure(settings.namespaces)
        shares = {
            one.name: one.l1_share_percent / 100
            for one in settings.namespaces
            if one.l1 and one.l1_share_percent
        }
        over = sum(shares.values()) / MOST_SHARED
        if over > 1:  # rows that no form has checked
            shares = {name: share / over for name, share in shares.items()}
        self.store.configure(settings.l1_budget_bytes, settings.l1_policy, shares)
        if moved or before.enabled != settings.enabled:
            self.lose_all()
        else:
            self.store.drop_where(lambda entry: not entry.namespace.settings.l1)
        if not settings.enabled:
            self.line.fresh_until = 0.0

    def forget(self) -> None:
        """Drop every copy, what was counted and what goes on, as after a fork."""
        self.spaces = Spaces()
        self.usage.forget()
        self.line.forget()
        self.watches.forget()
        self.store.forget()

    @property
    def is_alone(self) -> bool:
        """Whether nothing is surely heard of other processes now."""
        return self.clock() >= self.line.fresh_until

    def peek(self, name: str) -> Entry | None:
        """Return the copy in the process if it may be served, stale or not."""
        entry = self.store.entries.get(name)
        if entry is None or (self.is_alone and entry.stamp != ALONE):
            return None
        return entry

    def keep(self, space: Space, name: str, found: Found, watch: Watch, seq: int) -> None:
        """Hold a copy in the process, unless news has voided what it was made of.

        What is held while no news is heard is served for the time that staleness is allowed for.
        """
        self.keep_many(((space, name, found),), watch, seq)

    def keep_many(self, copies: Iterable[tuple[Space, str, Found]], watch: Watch, seq: int) -> None:
        """Hold copies that were made under the same watch."""
        if not self.settings.enabled:
            return
        now, alone = self.clock(), self.is_alone
        offset, largest = now - self.wall(), self.settings.l1_largest_percent / 100
        limits: dict[str, int] = {}
        entries = []
        for space, name, found in copies:
            settings = space.settings
            if not settings.l1:
                continue
            stored, thaw = freeze(found.value)
            last = settings.l1_seconds
            if alone:
                last = min(last, watch.began + self.settings.max_staleness_seconds - now)
            last += now
            expires, stale_until = found.expires + offset, found.stale_until + offset
            expires = expires if expires < last else last
            entry = KINDS[thaw](
                name,
                stored,
                space,
                now,
                expires,
                # The same object where it is the same time, which saves memory.
                expires if found.stale_until == found.expires else min(stale_until, last),
                found.load_seconds or 0.0,
                ALONE if alone else seq,
            )
            entry.size_bytes = weigh(name, stored)
            limit = limits.get(space.name)
            if limit is None:
                limit = limits[space.name] = self.store.largest_bytes(space.name, largest)
            if entry.size_bytes > limit:
                space.count("too_large")
            else:
                entries.append(entry)
        self.store.put_many(entries, lambda: watch.voided <= seq)
        self.usage.kept(entries)

    # --- News, of this process and others ----------------------------------------------------

    def lose_all(self) -> None:
        """Drop every copy, and all that is being fetched."""
        self.watches.void_all(LAST)
        self.store.clear()

    def names_changed(self, names: list[str], seq: int) -> None:
        self.watches.void(names, seq)
        self.store.drop(names, before=seq)
        self.usage.dropped(name for name in names if name not in self.store.entries)

    def tag_invalidated(self, tag: str, names: list[str], seq: int) -> None:
        self.names_changed([*names, mark_of(tag)], seq)
        if any(not one.settings.l2 for one in self.spaces.by_name.values()):
            # Which of these have the tag nobody knows.
            self.store.drop_where(lambda entry: not entry.namespace.settings.l2, before=seq)

    def pattern_invalidated(self, head: str, pattern: Pattern, seq: int) -> None:
        self.watches.void_where(lambda name: fits(pattern, head, name), seq)
        self.store.drop_where(lambda entry: fits(pattern, head, entry.key), before=seq)

    def generations_moved(self, moved: list[tuple[str, bytes]], seq: int) -> None:
        for name, generation in moved:
            if name in self.spaces.by_name:
                self.spaces.by_name[name].generation = generation
        self.drop_spaces({name for name, _ in moved}, seq)

    def drop_spaces(self, names: set[str], seq: int) -> None:
        self.watches.void_all(seq)
        self.store.drop_where(lambda entry: entry.namespace.name in names, before=seq)

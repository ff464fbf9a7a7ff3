"""The first tier: a store in the process, bounded by the bytes it holds.

Reading takes no lock: `entries.get` is one step of the interpreter, and an entry's marks may be
written by several threads at once. Whoever adds or removes holds the lock, never over I/O.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from caching.engine.entry import Entry, Thawed
from caching.engine.policies import POLICIES, Policy
from caching.engine.values import size_of

# What an entry takes beside its key and value: the object, its times, its place in the dictionary
# (with the room that grows in steps), and its place in the policy's queue or a ghost's.
ENTRY_BYTES = 120 + 4 * 32 + 96 + 160
COMMON = ""
_PART = 1000
THAWED_SHARE = 0.05  # of the budget: for what is held as dictionaries, several times as large


@dataclass(slots=True)
class Partition:
    """A part of the budget, whose entries only displace one another."""

    policy: Policy
    budget_bytes: int
    used_bytes: int = 0
    count: int = 0


@dataclass(slots=True)
class Held:
    """What is held of a namespace and where, and how many of its entries were evicted so far."""

    partition: Partition
    used_bytes: int = 0
    count: int = 0
    evicted: int = 0


def weigh(key: str, stored: Any) -> int:
    """Return the bytes that an entry takes."""
    return ENTRY_BYTES + getsizeof(key) + size_of(stored)


class Store:
    """Entries by key, in one partition for all or in some of their own.

    `budget_bytes` is for all of them; a namespace with a share has a partition of that part, the
    others have the rest in common.
    """

    def __init__(self, budget_bytes: int, policy: str = "lru") -> None:
        self.entries: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self.budget_bytes, self.policy = budget_bytes, policy
        self._shares: dict[str, float] = {}
        self._held: dict[str, Held] = {}
        self._clear()

    def configure(self, budget_bytes: int, policy: str, shares: dict[str, float]) -> None:
        """Obey new settings; `shares` are parts of 1 by namespace.

        Entries that no longer fit leave; with another policy, or a share more or less, all do.
        Raises KeyError for a policy that does not exist.
        """
        POLICIES[policy]
        with self._lock:
            begin_anew = policy != self.policy or shares.keys() != self._shares.keys()
            self.budget_bytes, self.policy, self._shares = budget_bytes, policy, dict(shares)
            if begin_anew:
                self._clear()
            for name, budget in self._budgets().items():
                partition = self.partitions[name]
                partition.budget_bytes = budget
                self._make_room(partition)

    def largest_bytes(self, namespace: str, share: float) -> int:
        """Return the weight of the largest entry that a namespace may hold."""
        return int(self._partition(namespace).budget_bytes * share)

    def put(self, entry: Entry, may: Callable[[], bool] | None = None) -> bool:
        """Hold an entry, unless `may`, asked under the lock, says no; say whether it is held.

        One that is larger than its partition is not held, nor is what it would have replaced.
        """
        with self._lock:
            return (may is None or may()) and self._put(entry)

    def put_many(self, entries: Iterable[Entry], may: Callable[[], bool]) -> None:
        """Hold entries, all or none as `may` says."""
        with self._lock:
            if may():
                for entry in entries:
                    self._put(entry)

    def thaw(self, entry: Entry) -> None:
        """Hold an entry ready to be copied, if it may be and there is room for such."""
        ready = entry.thawed()
        if ready is None:
            return
        ready.size_bytes = weigh(ready.key, ready.value)
        with self._lock:
            room = self.budget_bytes * THAWED_SHARE - self._thawed_bytes
            if ready.size_bytes <= room and self.entries.get(entry.key) is entry:
                self._put(ready)

    def _put(self, entry: Entry) -> bool:
        old = self.entries.get(entry.key)
        if not entry.size_bytes:
            # Once and for all: a string grows when its UTF-8 form is asked for.
            entry.size_bytes = weigh(entry.key, entry.value)
        held = self._holding(entry.namespace.name)
        partition = held.partition
        if entry.size_bytes > partition.budget_bytes:
            if old is not None:
                self._forget(old)
            return False
        # A reader must find one or the other, so nothing is deleted first.
        self.entries[entry.key] = entry
        if old is not None:
            self._replaced(old, entry)
        partition.policy.added(entry)
        self._count(held, entry, 1)
        if partition.used_bytes > partition.budget_bytes:
            self._make_room(partition)
        return True

    def drop(self, keys: Iterable[str], before: float = float("inf")) -> int:
        """Let keys go whose stamp is lower than `before`; return how many were held."""
        count = 0
        with self._lock:
            for key in keys:
                entry = self.entries.get(key)
                if entry is not None and entry.stamp < before:
                    self._forget(entry)
                    count += 1
        return count

    def drop_where(self, condition: Callable[[Entry], bool], before: float = float("inf")) -> int:
        """Let go what `condition` is true of; other threads go on while it looks."""
        with self._lock:  # else it misses what is between its `may` and its place
            entries = list(self.entries.values())
        keys = [entry.key for entry in entries if condition(entry)]
        # A part at a time: who adds a copy must not wait for a million to go.
        return sum(self.drop(keys[at : at + _PART], before) for at in range(0, len(keys), _PART))

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._clear()

    def forget(self) -> None:
        """Let everything go in a child process, where the lock may be held for ever."""
        self._lock = threading.Lock()
        self._held = {}
        self._clear()

    def _clear(self) -> None:
        self.entries.clear()
        self._thawed_bytes = 0
        self.partitions = {
            name: Partition(POLICIES[self.policy](self.entries), budget)
            for name, budget in self._budgets().items()
        }
        for name, held in self._held.items():
            held.partition = self._partition(name)
            held.used_bytes = held.count = 0

    def _budgets(self) -> dict[str, int]:
        budgets = {name: int(self.budget_bytes * share) for name, share in self._shares.items()}
        return {**budgets, COMMON: self.budget_bytes - sum(budgets.values())}

    def _partition(self, namespace: str) -> Partition:
        partitions = self.partitions
        return partitions.get(namespace) or partitions[COMMON]

    def _forget(self, entry: Entry) -> None:
        del self.entries[entry.key]
        self._left(entry).partition.policy.gone()

    def _replaced(self, old: Entry, entry: Entry) -> None:
        self._left(old).partition.policy.gone()
        entry.hits = old.hits  # a refresh is no reason to leave

    def _make_room(self, partition: Partition) -> None:
        while partition.used_bytes > partition.budget_bytes:
            entry = partition.policy.victim(partition.budget_bytes)
            if entry is None:
                break
            del self.entries[entry.key]
            self._left(entry).evicted += 1

    def _holding(self, namespace: str) -> Held:
        return self._held.get(namespace) or self._held.setdefault(
            namespace, Held(self._partition(namespace))
        )

    def _left(self, entry: Entry) -> Held:
        held = self._holding(entry.namespace.name)
        self._count(held, entry, -1)
        return held

    def _count(self, held: Held, entry: Entry, step: int) -> None:
        partition, more_bytes = held.partition, step * entry.size_bytes
        partition.used_bytes += more_bytes
        partition.count += step
        held.used_bytes += more_bytes
        held.count += step
        if entry.__class__ is Thawed:
            self._thawed_bytes += more_bytes

    @property
    def used_bytes(self) -> int:
        """The bytes held, by the same measure as the budget."""
        return sum(one.used_bytes for one in self.partitions.values())

    def by_namespace(self) -> dict[str, tuple[int, int, int]]:
        """Return bytes held, entries and evictions of each namespace."""
        return {
            name: (one.used_bytes, one.count, one.evicted) for name, one in list(self._held.items())
        }

"""Which copy leaves first when the budget is spent.

A hit only marks its entry (`used`, `hits`), without a lock; all else happens when something is
added or must leave, under the store's lock. The queues hold keys, not entries: one that was deleted
or replaced frees its value at once, and its place in a queue is passed over, as its number tells.
"""

import heapq
from collections import deque
from itertools import count
from typing import Protocol

from caching.engine.entry import Entry

Entries = dict[str, Entry]
_FEW = 1024
_LruPlace = tuple[float, int, str]  # used at, number, key
_FifoPlace = tuple[int, str, int]  # number, key, size in bytes
_GdsfPlace = tuple[float, int, str, float]  # priority, number, key, frequency


class Policy(Protocol):
    """Orders the entries of one partition."""

    def added(self, entry: Entry) -> None:
        """Take an entry in."""

    def gone(self) -> None:
        """Count an entry that was deleted or replaced."""

    def victim(self, budget_bytes: int) -> Entry | None:
        """Take out the entry that is to leave now."""


class _Queued:
    """What the policies share: numbered places, and when to sweep those nobody has any more."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._next = count(1).__next__
        self._gone = 0

    def _entry(self, number: int, key: str) -> Entry | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry.queued == number else None

    def _must_sweep(self, places: int) -> bool:
        self._gone += 1
        if self._gone <= _FEW or self._gone * 2 <= places:
            return False
        self._gone = 0
        return True


class _Ghosts:
    """The frequencies of keys that were evicted, in two generations: of at most `most` keys."""

    def __init__(self) -> None:
        self._young: dict[int, float] = {}  # by the hash of the key
        self._old: dict[int, float] = {}

    def take(self, key: str) -> float | None:
        hashed = hash(key)
        found = self._young.pop(hashed, None)
        return self._old.pop(hashed, None) if found is None else found

    def add(self, key: str, frequency: float, most: int) -> None:
        self._young[hash(key)] = frequency
        if len(self._young) * 2 >= most:
            self._young, self._old = {}, self._young


class LRU(_Queued):
    """Least recently used first, exactly.

    A heap orders the entries by when they were used as far as it knows. The top is looked at before
    it leaves: if it was used since, it goes back with its new time, so hits never touch the heap.
    """

    def __init__(self, entries: Entries) -> None:
        super().__init__(entries)
        self._heap: list[_LruPlace] = []

    def added(self, entry: Entry) -> None:
        entry.queued = self._next()
        heapq.heappush(self._heap, (entry.used, entry.queued, entry.key))

    def gone(self) -> None:
        if self._must_sweep(len(self._heap)):
            self._heap = [one for one in self._heap if self._entry(one[1], one[2])]
            heapq.heapify(self._heap)

    def victim(self, budget_bytes: int) -> Entry | None:
        heap = self._heap
        while heap:
            used, number, key = heap[0]
            entry = self._entry(number, key)
            if entry is None:
                heapq.heappop(heap)
                self._gone -= 1
            elif entry.used > used:
                heapq.heapreplace(heap, (entry.used, number, key))
            else:
                heapq.heappop(heap)
                return entry
        return None


class S3FIFO(_Queued):
    """Three queues: what is used once leaves early, so that a scan does not empty the cache.

    Source: J. Yang et al., FIFO Queues are All You Need for Cache Eviction (SOSP 2023). The small
    queue has a share of the budget, counted in bytes; one hit in it is enough for the main queue.
    """

    SMALL_SHARE = 0.05
    MOST_LIVES = 3

    def __init__(self, entries: Entries) -> None:
        super().__init__(entries)
        self._small: deque[_FifoPlace] = deque()
        self._main: deque[_FifoPlace] = deque()
        self._small_bytes = 0
        self._ghosts = _Ghosts()

    def added(self, entry: Entry) -> None:
        entry.queued = self._next()
        place = (entry.queued, entry.key, entry.size_bytes)
        if self._ghosts.take(entry.key) is not None:
            self._main.append(place)
        else:
            self._small.append(place)
            self._small_bytes += entry.size_bytes

    def gone(self) -> None:
        if self._must_sweep(len(self._small) + len(self._main)):
            self._small = deque(one for one in self._small if self._entry(one[0], one[1]))
            self._main = deque(one for one in self._main if self._entry(one[0], one[1]))
            self._small_bytes = sum(size for _, _, size in self._small)

    def victim(self, budget_bytes: int) -> Entry | None:
        while self._small or self._main:
            small = bool(self._small) and (
                self._small_bytes >= budget_bytes * self.SMALL_SHARE or not self._main
            )
            number, key, size = place = (self._small if small else self._main).popleft()
            self._small_bytes -= size * small
            entry = self._entry(number, key)
            if entry is None:
                self._gone -= 1
            elif entry.hits > 0:
                entry.hits = 0 if small else min(entry.hits, self.MOST_LIVES) - 1
                self._main.append(place)
            else:
                if small:
                    self._ghosts.add(key, 0.0, max(_FEW, len(self._main)))
                return entry
        return None


class GDSF(_Queued):
    """Fewest hits for the room it takes first: many small entries give more hits than a large one.

    Source: L. Cherkasova, Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching
    Policy (HP Labs 1998). Priority = age + frequency / size, the age being the priority at which
    the last one left. As in the heap of LRU, hits count when their entry is at the top; a frequency
    halves each time that happens, and outlives its entry for a while.
    """

    MOST_FREQUENT = 16.0
    PLACES_A_GHOST = 4  # more would give 0.4 points at most, and take as much as the places

    def __init__(self, entries: Entries) -> None:
        super().__init__(entries)
        self._heap: list[_GdsfPlace] = []
        self._ghosts = _Ghosts()
        self._age = 0.0

    def added(self, entry: Entry) -> None:
        entry.queued = self._next()
        frequency = min(self.MOST_FREQUENT, 1.0 + (self._ghosts.take(entry.key) or 0.0))
        heapq.heappush(self._heap, self._place(entry, frequency))

    def gone(self) -> None:
        if self._must_sweep(len(self._heap)):
            self._heap = [one for one in self._heap if self._entry(one[1], one[2])]
            heapq.heapify(self._heap)

    def victim(self, budget_bytes: int) -> Entry | None:
        heap = self._heap
        while heap:
            priority, number, key, frequency = heap[0]
            entry = self._entry(number, key)
            if entry is None:
                heapq.heappop(heap)
                self._gone -= 1
                continue
            self._age = priority
            if entry.hits > 0:
                frequency = min(self.MOST_FREQUENT, frequency / 2 + entry.hits)
                entry.hits = 0
                heapq.heapreplace(heap, self._place(entry, frequency))
            else:
                heapq.heappop(heap)
                self._ghosts.add(key, frequency, max(_FEW, len(heap) // self.PLACES_A_GHOST))
                return entry
        return None

    def _place(self, entry: Entry, frequency: float) -> _GdsfPlace:
        priority = self._age + frequency / entry.size_bytes
        return (priority, entry.queued, entry.key, frequency)


POLICIES: dict[str, type[LRU | S3FIFO | GDSF]] = {"lru": LRU, "s3-fifo": S3FIFO, "gdsf": GDSF}

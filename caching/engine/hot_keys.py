"""The keys that are asked for most, in bounded memory.

Source: A. Metwally, D. Agrawal, A. El Abbadi, Efficient Computation of Frequent and Top-k Elements
in Data Streams (Space-Saving, ICDT 2005). A key that is not counted yet takes the place of the one
with the lowest count, and its count too, which is then by how much it may be too high. So with n
places, each key that is more than 1/n of all that was added is among them.
"""

import heapq
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counted:
    """A key; it was added at most `count` times, and at least `count - error` times."""

    key: str
    count: float
    error: float


@dataclass(slots=True)
class Summary:
    """What one process counted, as plain data: no other key was added more than `floor` times."""

    floor: float = 0.0
    counted: list[Counted] = field(default_factory=list)


class HotKeys:
    """Counts the most frequent keys. Raises ValueError for a capacity that is not positive."""

    def __init__(self, capacity: int = 500) -> None:
        if capacity < 1:
            raise ValueError("capacity must be positive")
        self._capacity = capacity
        self._lock = threading.Lock()
        self._counts: dict[str, float] = {}
        self._errors: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # counts as they were: the true ones are higher

    def add(self, key: str, count: float = 1) -> None:
        """Count a key."""
        with self._lock:
            counts = self._counts
            if key in counts:
                counts[key] += count
                return
            if len(counts) < self._capacity:
                counts[key] = count
                heapq.heappush(self._heap, (count, key))
                return
            lowest, other = self._lowest()
            del counts[other]
            self._errors.pop(other, None)
            counts[key], self._errors[key] = lowest + count, lowest
            heapq.heapreplace(self._heap, (lowest + count, key))

    def top(self, most: int) -> list[Counted]:
        """Return at most so many keys, the most frequent first."""
        return self.summary().counted[:most]

    def decay(self) -> None:
        """Halve all counts, so that the present weighs more than the past."""
        with self._lock:
            self._counts = {key: count / 2 for key, count in self._counts.items()}
            self._errors = {key: error / 2 for key, error in self._errors.items()}
            self._heap = [(count / 2, key) for count, key in self._heap]

    def summary(self, most: int | None = None) -> Summary:
        """Return what is counted, at most so many keys, the most frequent first."""
        with self._lock:
            floor = self._lowest()[0] if len(self._counts) == self._capacity else 0.0
            counts, errors = dict(self._counts), dict(self._errors)
        found = _sorted([Counted(key, n, errors.get(key, 0.0)) for key, n in counts.items()])
        if most is not None and len(found) > most:
            floor, found = found[most].count, found[:most]
        return Summary(floor, found)

    def _lowest(self) -> tuple[float, str]:
        """Return the lowest count and its key, which is then at the top of the heap."""
        heap, counts = self._heap, self._counts
        while (count := counts[heap[0][1]]) > heap[0][0]:
            heapq.heapreplace(heap, (count, heap[0][1]))
        return heap[0]


def merge(summaries: Iterable[Summary]) -> list[Counted]:
    """Return what several processes counted together, the most frequent first.

    Source: P. Agarwal et al., Mergeable Summaries (PODS 2012): where a process did not count a key,
    it may have seen it as often as its floor says.
    """
    summaries = list(summaries)
    floor = sum(one.floor for one in summaries)
    counts: dict[str, float] = {}
    errors: dict[str, float] = {}
    for summary in summaries:
        for one in summary.counted:
            counts[one.key] = counts.get(one.key, floor) + one.count - summary.floor
            errors[one.key] = errors.get(one.key, floor) + one.error - summary.floor
    return _sorted([Counted(key, count, errors[key]) for key, count in counts.items()])


def _sorted(found: list[Counted]) -> list[Counted]:
    return sorted(found, key=lambda one: (-one.count, one.key))

"""What hit ratio the first tier would have at any budget, from a sample of the keys asked for.

Source: C. Waldspurger et al., Efficient MRC Construction with SHARDS (FAST 2015), the form of fixed
size, corrected for the expected number of samples (SHARDS-adj), weighed by bytes: a request hits if
the bytes of the distinct keys used since its key was used last, and its own, fit into the budget.

A key is sampled if its hash is under a threshold, which the caller of the hot path compares itself:

    if hash(key) < curve.threshold:
        curve.note(key, entry.size_bytes)

A string's hash (SipHash, kept in the string) is spread evenly over 64 bits; it differs in every
process, so curves of several are merged by their counts, and never by key.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

_HASHES = 1 << 64
_ALL = 1 << 63  # above every hash
_KEPT = 0.9  # of the keys, when there are too many: so that it happens rarely
_BLOCK = 128
NEVER, FOREVER = float("-inf"), float("inf")
_STEPS_AN_OCTAVE = 16
_FIRST_BYTES, _OCTAVES = 256 * 1024, 18
EDGES_BYTES = tuple(
    _FIRST_BYTES * 2 ** (step / _STEPS_AN_OCTAVE) for step in range(_OCTAVES * _STEPS_AN_OCTAVE + 1)
)


@dataclass(slots=True)
class Histogram:
    """Requests by the budget that they need, in bytes: plain data that processes can add up.

    `counts[i]` of the `requests` need at most `EDGES_BYTES[i]`, and more than the edge before it.
    """

    requests: float = 0.0
    counts: list[float] = field(default_factory=list)

    def hit_ratio(self, budget_bytes: float) -> float:
        """Return the part of the requests that would hit with this budget, from 0 to 1."""
        return self.points([budget_bytes])[0]

    def points(self, budgets_bytes: Sequence[float]) -> list[float]:
        """Return the hit ratio at each budget, interpolated between the edges."""
        hits = [0.0, *accumulate(self.counts)]
        return [self._at(budget, hits) for budget in budgets_bytes]

    def _at(self, budget_bytes: float, hits: list[float]) -> float:
        if not self.requests:
            return 0.0
        index = bisect_left(EDGES_BYTES, budget_bytes)
        if index + 1 >= len(hits):
            return min(1.0, max(0.0, hits[-1] / self.requests))
        low = EDGES_BYTES[index - 1] if index else 0.0
        part = (budget_bytes - low) / (EDGES_BYTES[index] - low)
        found = hits[index] + max(0.0, part) * (hits[index + 1] - hits[index])
        return min(1.0, max(0.0, found / self.requests))


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """Return the histogram of several processes that have a budget each."""
    total = Histogram()
    for one in histograms:
        total.requests += one.requests
        total.counts += [0.0] * (len(one.counts) - len(total.counts))
        for index, count in enumerate(one.counts):
            total.counts[index] += count
    return total


class _Place:
    """Where a key is in the order of use; it has no copy to expire until its size is known."""

    __slots__ = ("at", "expires", "size_bytes", "touched_bytes")

    def __init__(self, size_bytes: int | None) -> None:
        self.at, self.size_bytes, self.touched_bytes = 0, size_bytes or 0, 0
        self.expires = NEVER if size_bytes is None else FOREVER


class _Sample:
    """The sampled keys in the order of their use, at most `max_keys`.

    Positions are handed out upwards and renumbered when they run out. The bytes at each are summed
    by blocks, so that two short sums tell how many bytes were used since a position.
    """

    def __init__(self, max_keys: int, one_in: int) -> None:
        self._max_keys = max_keys
        self._length = (2 * max_keys // _BLOCK + 2) * _BLOCK
        self.threshold = _HASHES // one_in - _ALL
        self.scale = float(one_in)  # requests that one sampled request stands for
        self.places: dict[str, _Place] = {}  # the least recently used first
        self.touched_bytes = 0  # used so far, counting every use
        self._renumber()

    def touch(self, key: str, size_bytes: int | None) -> tuple[_Place, float]:
        """Make a key the last used one; return the budget that would have kept it, in bytes."""
        place, budget = self.places.pop(key, None), FOREVER
        if place is None:
            place = _Place(size_bytes)
        else:
            others = self._take(place)
            if size_bytes is not None:
                place.size_bytes = size_bytes
            budget = others * self.scale + place.size_bytes
        self.places[key] = place
        self.touched_bytes += place.size_bytes
        place.touched_bytes = self.touched_bytes
        if self._end == self._length:
            self._renumber()
        else:
            place.at = self._end
            self._sizes[place.at] = place.size_bytes
            self._blocks[place.at // _BLOCK] += place.size_bytes
            self._end += 1
        if len(self.places) > self._max_keys:
            self._lower()
        return place, budget

    def is_recent(self, place: _Place) -> bool:
        """Say whether the lowest budget would have kept a key if all uses had been others'."""
        used = self.touched_bytes - place.touched_bytes
        return used * self.scale + place.size_bytes <= EDGES_BYTES[0]

    def drop(self, key: str) -> None:
        place = self.places.pop(key, None)
        if place is not None:
            self._take(place)

    def used_since(self, touched_bytes: int) -> int:
        """Return how many keys were used since so many bytes had been touched."""
        return sum(one.touched_bytes > touched_bytes for one in self.places.values())

    def _take(self, place: _Place) -> int:
        """Free a position; return the bytes that were used after it."""
        at, block = place.at, place.at // _BLOCK
        self._sizes[at] = 0
        self._blocks[block] -= place.size_bytes
        return sum(self._sizes[at + 1 : (block + 1) * _BLOCK]) + sum(self._blocks[block + 1 :])

    def _lower(self) -> None:
        """Lower the threshold, and with it the rate."""
        hashes = sorted(map(hash, self.places))
        self.threshold = hashes[int(len(hashes) * _KEPT)]
        self.scale = _HASHES / (self.threshold + _ALL)
        self.places = {k: one for k, one in self.places.items() if hash(k) < self.threshold}
        self._renumber()

    def _renumber(self) -> None:
        sizes = [one.size_bytes for one in self.places.values()]
        for at, place in enumerate(self.places.values()):
            place.at = at
        self._end = len(sizes)
        self._sizes = sizes + [0] * (self._length - len(sizes))
        self._blocks = [sum(self._sizes[at : at + _BLOCK]) for at in range(0, self._length, _BLOCK)]


class Curve:
    """The hit ratio of an LRU by its budget, as the requests of this process would have it.

    `max_keys` bounds what is held; the error falls with its root. At first one key in `one_in` is
    sampled, and never more, which bounds what it costs. A request that two threads note
    at once may be lost, which the correction makes good. Raises ValueError if it is not positive.
    """

    def __init__(self, max_keys: int = 10_000, *, one_in: int = 1) -> None:
        if max_keys < 1:
            raise ValueError("max_keys must be positive")
        self._lock = threading.Lock()
        self._max_keys, self._one_in = max_keys, one_in
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._sample = _Sample(self._max_keys, self._one_in)
        self._next: _Sample | None = None  # what takes its place when it knows the order of use
        self._seen_bytes = 0
        self._requests = self._missed = 0.0
        self._counts = [0.0] * len(EDGES_BYTES)
        self.threshold = self._sample.threshold

    def begin_anew(self) -> None:
        """Know nothing, and hold no lock."""
        self._lock = threading.Lock()
        self.reset()
        self._lower_threshold()

    def resize(self, max_keys: int) -> None:
        """Hold so many keys at most, and begin anew where that is another number; 0: none."""
        if max_keys != self._max_keys:
            with self._lock:
                self._max_keys = max_keys
                self.reset()
                self._lower_threshold()

    def sampled(self, key: str) -> bool:
        """Say whether a key is sampled; the hot path compares for itself."""
        return hash(key) < self.threshold

    def note(self, key: str, size_bytes: int | None = None, now: float = 0.0) -> None:
        """Count a request of a sampled key.

        `size_bytes` is None for a miss, `now` is the time by which `stored` says when a copy
        expires.
        """
        sample = self._sample
        place = sample.places.get(key)
        if place is not None and now < place.expires and sample.is_recent(place):
            # It hits with any budget, and the order of use stays as it is, as far as edges tell.
            self._counts[0] += sample.scale
        elif self._lock.acquire(blocking=False):
            try:
                self._count(key, size_bytes, now)
            finally:
                self._lock.release()

    def stored(self, key: str, size_bytes: int, expires: float = FOREVER) -> None:
        """Tell the size of a sampled key that is stored, and until when it can hit."""
        with self._lock:
            for sample in self._samples(key):
                place, _ = sample.touch(key, size_bytes)
                place.expires = expires
            self._lower_threshold()

    def forget(self, key: str) -> None:
        """Tell that a key was deleted: with no budget would it be there."""
        with self._lock:
            for sample in self._samples(key):
                sample.drop(key)

    def count_requests(self, requests: int) -> None:
        """Add how many requests there were since the last time, sampled or not."""
        self._requests += requests

    def age(self) -> None:
        """Halve what was counted, so that the curve follows the present load.

        When less than half a sample was in use since the last time, a new one begins, of more keys;
        it counts from the next time on, when it knows the order of use.
        """
        with self._lock:
            self._requests /= 2
            self._missed /= 2
            self._counts = [one / 2 for one in self._counts]
            few = self._sample.used_since(self._seen_bytes) * 2 < self._max_keys
            if self._next is not None:
                self._sample, self._next = self._next, None
            elif few and self._sample.scale > self._one_in:
                self._next = _Sample(self._max_keys, self._one_in)
            self._seen_bytes = self._sample.touched_bytes
            self._lower_threshold()

    def snapshot(self) -> Histogram:
        """Return what was counted, corrected where the number of requests was told."""
        with self._lock:
            counts, counted = list(self._counts), sum(self._counts) + self._missed
        requests = self._requests or counted
        counts[0] += requests - counted
        while counts and not counts[-1]:
            counts.pop()
        return Histogram(requests, counts)

    def _count(self, key: str, size_bytes: int | None, now: float) -> None:
        sample, after = self._sample, self._next
        if after is not None and hash(key) < after.threshold:
            after.touch(key, size_bytes)
        if hash(key) < sample.threshold:
            scale = sample.scale
            place, budget = sample.touch(key, size_bytes)
            if budget <= EDGES_BYTES[-1] and now < place.expires:
                self._counts[bisect_left(EDGES_BYTES, budget)] += scale
            else:
                self._missed += scale
        self._lower_threshold()

    def _samples(self, key: str) -> list[_Sample]:
        both = [self._sample] if self._next is None else [self._sample, self._next]
        return [one for one in both if hash(key) < one.threshold]

    def _lower_threshold(self) -> None:
        if not self._max_keys:
            self.threshold = -_ALL
            return
        threshold = self._sample.threshold
        self.threshold = threshold if self._next is None else max(threshold, self._next.threshold)

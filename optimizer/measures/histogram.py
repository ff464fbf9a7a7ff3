"""How durations are spread: a histogram whose buckets double, with four in each doubling.

Four linear parts of each power of two, as HdrHistogram has them (G. Tene), make a bucket at most a
quarter wider than its lower bound. They begin at 2^-20 s (0.95 µs) and end at 2^7 s (128 s);
what is below or above has a bucket of its own. Only the buckets from the lowest to the highest
that were used take memory, four bytes each.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from math import frexp

import msgspec

SHORTEST_SECONDS = 2.0**-20
LONGEST_SECONDS = 2.0**7
BUCKETS = 110  # 27 doublings of four, and what is below and above
_PARTS = 4
_OFFSET = 73  # of the bucket that SHORTEST_SECONDS is in, so that it is number 1
_MOST = 2**32 - 1


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket that a duration falls into."""
    if SHORTEST_SECONDS <= seconds < LONGEST_SECONDS:
        mantissa, exponent = frexp(seconds)  # the mantissa is from 0.5 to 1
        return _PARTS * exponent + int(2 * _PARTS * mantissa) + _OFFSET
    return BUCKETS - 1 if seconds >= LONGEST_SECONDS else 0


def bounds_of(bucket: int) -> tuple[float, float]:
    """Return from where a bucket reaches, and up to where (not included), in seconds."""
    return (_start(bucket) if bucket else 0.0, _start(bucket + 1))


def _start(bucket: int) -> float:
    if bucket >= BUCKETS:
        return math.inf
    exponent, part = divmod(bucket - _OFFSET - _PARTS, _PARTS)
    return math.ldexp((_PARTS + part) / (2 * _PARTS), exponent)


class Histogram:
    """Counts durations by bucket. Not for several threads at once."""

    __slots__ = ("_counts", "_lowest")

    def __init__(self) -> None:
        self._lowest = 0  # the bucket that the first count is of
        self._counts: array[int] = array("I")

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration, once or several times."""
        self._count(bucket_of(seconds), times)

    def add_bucket(self, bucket: int, times: int) -> None:
        """Add counts of a bucket, as `counts` returns them."""
        self._count(bucket, times)

    def add_all(self, durations: Iterable[float], times: int = 1) -> None:
        """Count several durations, each once or several times."""
        for bucket, count in Counter(map(bucket_of, durations)).items():
            self._count(bucket, count * times)

    def merge(self, other: "Histogram") -> None:
        """Add all counts of another histogram."""
        for bucket, times in other.counts().items():
            self._count(bucket, times)

    def counts(self) -> dict[int, int]:
        """Return how often each bucket was met, for those that were."""
        return {self._lowest + at: times for at, times in enumerate(self._counts) if times}

    @property
    def calls(self) -> int:
        """How many durations were counted."""
        return sum(self._counts)

    def percentile(self, fraction: float) -> float:
        """Return the duration in seconds that this fraction of all are no longer than.

        It lies in the bucket of the true one (nearest rank), where its rank among that bucket's
        puts it; 0 where nothing was counted, and LONGEST_SECONDS for all beyond. Raises ValueError
        for a fraction that is not within 0 and 1.
        """
        if not 0 <= fraction <= 1:
            raise ValueError("a fraction lies within 0 and 1")
        # The product of 0.07 and 100 is a little above 7.
        rank = max(1, math.ceil(fraction * self.calls * (1 - 1e-15)))
        for at, times in enumerate(self._counts):
            if rank <= times:
                start, end = bounds_of(self._lowest + at)
                within = (rank - 0.5) / times
                return start if math.isinf(end) else start + (end - start) * within
            rank -= times
        return 0.0

    def to_bytes(self) -> bytes:
        """Return the histogram as MessagePack: its lowest bucket, then the counts from there."""
        return msgspec.msgpack.encode([self._lowest, *self._counts])

    @classmethod
    def from_bytes(cls, data: bytes) -> "Histogram":
        """Return the histogram that was packed so. Raises ValueError for what none is packed as."""
        try:
            lowest, *counts = msgspec.msgpack.decode(data, type=list[int]) or [-1]
        except msgspec.MsgspecError as error:
            raise ValueError(f"no histogram: {error}") from error
        if not 0 <= lowest <= lowest + len(counts) <= BUCKETS:
            raise ValueError("a histogram has no such bucket")
        if not all(0 <= times <= _MOST for times in counts):
            raise ValueError("a count is out of range")
        histogram = cls()
        histogram._lowest, histogram._counts = lowest, array("I", counts)
        return histogram

    def _count(self, bucket: int, times: int) -> None:
        at = bucket - self._lowest
        if not 0 <= at < len(self._counts):
            at = self._reach(bucket)
        try:
            self._counts[at] += times
        except OverflowError:
            self._counts[at] = _MOST

    def _reach(self, bucket: int) -> int:
        """Make room for a bucket; return where it is."""
        counts = self._counts
        if not counts:
            self._lowest = bucket
        below, above = self._lowest - bucket, bucket - self._lowest - len(counts) + 1
        if below > 0:
            self._counts = array("I", bytes(counts.itemsize * below)) + counts
            self._lowest = bucket
        elif above > 0:
            self._counts = counts + array("I", bytes(counts.itemsize * above))
        return bucket - self._lowest

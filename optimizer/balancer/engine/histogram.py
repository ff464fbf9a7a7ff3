"""How latencies are spread: buckets that double, with eight linear parts in each doubling.

As HdrHistogram has them (G. Tene), a bucket is at most an eighth wider than its lower bound. They
reach from 2^-17 s (7.6 µs) to 2^7 s (128 s); what is below or above is counted at the ends.
"""

from array import array
from collections.abc import Iterable, Mapping
from math import ceil, frexp, ldexp

PARTS = 8
_LOWEST_EXPONENT = -16  # of frexp: 2^-17 <= seconds < 2^-16
BUCKETS = 24 * PARTS


def bucket_of(seconds: float) -> int:
    """Return the number of the bucket that a duration falls into."""
    mantissa, exponent = frexp(seconds)  # the mantissa is from 0.5 to 1
    at = (exponent - _LOWEST_EXPONENT) * PARTS + int(mantissa * (2 * PARTS)) - PARTS
    return 0 if at < 0 else at if at < BUCKETS else BUCKETS - 1


def upper_bound(bucket: int) -> float:
    """Return the seconds up to which a bucket reaches."""
    exponent, part = divmod(bucket + 1, PARTS)
    return ldexp((PARTS + part) / (2 * PARTS), exponent + _LOWEST_EXPONENT)


def middle(bucket: int) -> float:
    """Return the seconds in the middle of a bucket."""
    below = upper_bound(bucket - 1) if bucket else 0.0
    return (below + upper_bound(bucket)) / 2


def new_counts() -> "array[int]":
    """Return the counts of all buckets, none yet."""
    return array("Q", bytes(8 * BUCKETS))


def percentile(counts: Mapping[int, int], fraction: float) -> float:
    """Return the seconds within which this fraction of all calls was done; 0 where there is none.

    It is the upper end of the bucket: 12.5 % too much at most.
    """
    return percentiles(counts, (fraction,))[0]


def percentiles(counts: Mapping[int, int], fractions: Iterable[float]) -> list[float]:
    """Return several percentiles, in seconds; `fractions` must rise."""
    total = sum(counts.values())
    ordered = iter(sorted(counts.items()))
    seen, bound, found = 0, 0.0, []
    for fraction in fractions:
        rank = ceil(fraction * total)
        while seen < rank:
            bucket, count = next(ordered)
            seen += count
            bound = upper_bound(bucket)
        found.append(bound)
    return found

"""A quantile of counts in cumulative buckets, as Prometheus' histogram_quantile finds it."""

import math
from collections.abc import Mapping


def quantile_of(buckets: Mapping[float, float], share: float) -> float | None:
    """Return the value that `share` (0 to 1) of the counts do not exceed; None without counts.

    Keys are upper ends, the last infinite; counts are of all values up to there. Between two ends
    the values are taken as spread evenly, and beyond the last finite end as being there.
    """
    ends = sorted(buckets)
    if not ends or buckets[ends[-1]] <= 0:
        return None
    rank, low, below = share * buckets[ends[-1]], 0.0, 0.0
    for end in ends:
        count = buckets[end]
        if count >= rank and count > below:
            if math.isinf(end):
                return low
            return low + (end - low) * (rank - below) / (count - below)
        low, below = (end if not math.isinf(end) else low), count
    return low

"""How long chunks take, as counts by powers of two of a millisecond, four parts each.

The counts are plain JSON, so that they live in one column and add up over processes.
"""

import math
from collections.abc import Mapping

_PARTS = 4


def bucket(seconds: float) -> str:
    """Return the name of the bucket of a duration: its number, 0 for a millisecond."""
    return str(math.floor(_PARTS * math.log2(max(seconds, 1e-6) * 1000)))


def percentile(counts: Mapping[str, int], fraction: float) -> float:
    """Return the seconds that this fraction of all chunks took at most; 0 where there are none.

    It is the upper end of the bucket: 19 % too much at most.
    """
    rank = math.ceil(fraction * sum(counts.values()))
    for number in sorted(map(int, counts)):
        rank -= counts[str(number)]
        if rank <= 0:
            return 2 ** ((number + 1) / _PARTS) / 1000
    return 0.0

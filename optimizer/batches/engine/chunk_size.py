"""The size of the next chunk: additive increase, multiplicative decrease (AIMD).

D. Chiu and R. Jain, "Analysis of the increase and decrease algorithms for congestion avoidance",
1989. What is controlled is how long a chunk takes, not how much is lost.
"""

import math

MORE_RATIO = 0.1
LEAST_MORE_ITEMS = 256
LESS_RATIO = 0.7
TROUBLE_RATIO = 0.5


def next_size(
    size: int, *, items: int, took_seconds: float, target_seconds: float, least: int, most: int
) -> int:
    """Return the next chunk's size, after one of `items` took so long.

    Under the target it grows by a tenth, 256 items at least; over it, it shrinks to seven tenths.
    A chunk that was not full says nothing of a larger one, but it may say that it was too slow.
    """
    if took_seconds > target_seconds:
        size = math.floor(min(size, items) * LESS_RATIO)
    elif items >= size:
        # Not beyond what the target leaves room for, by the time an item took.
        room = math.ceil(items * target_seconds / max(took_seconds, 1e-6))
        size = max(size, min(room, size + max(LEAST_MORE_ITEMS, math.ceil(size * MORE_RATIO))))
    return min(max(size, least), most)


def after_trouble(size: int, *, least: int, most: int) -> int:
    """Return the size after a time-out or a deadlock: half."""
    return min(max(math.floor(size * TROUBLE_RATIO), least), most)

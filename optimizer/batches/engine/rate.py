"""How fast a job is: items a second, averaged over the last half minute or so."""

import math

MEMORY_SECONDS = 15.0


def updated(rate: float, *, items: int, elapsed_seconds: float) -> float:
    """Return the average after so many more items in so many more seconds."""
    elapsed_seconds = max(elapsed_seconds, 1e-3)
    weight = 1 - math.exp(-elapsed_seconds / MEMORY_SECONDS)
    return rate + weight * (items / elapsed_seconds - rate)


def faded(rate: float, idle_seconds: float) -> float:
    """Return what the average has become after a time without items."""
    return rate * math.exp(-max(0.0, idle_seconds) / MEMORY_SECONDS)

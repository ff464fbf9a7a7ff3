"""How long to wait before the next attempt: exponential, with full jitter.

M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
"""

import random
from collections.abc import Callable

_MOST_DOUBLINGS = 60


def full_jitter(
    attempts: int,
    *,
    base_seconds: float,
    most_seconds: float,
    chance: Callable[[], float] = random.random,
) -> float:
    """Return the seconds to wait after so many attempts (1 is the first)."""
    doublings = min(max(0, attempts - 1), _MOST_DOUBLINGS)
    return chance() * min(most_seconds, base_seconds * 2.0**doublings)

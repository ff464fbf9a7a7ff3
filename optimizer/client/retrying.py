"""When a call that is safe to repeat is repeated, and until when."""

import random
import time

from optimizer.client.protocol import ApiError, TuneupError, Unavailable

_BASE_SECONDS, _MOST_SECONDS = 0.1, 2.0
_LATER = frozenset({429, 500, 502, 503, 504})


def may_pass(error: TuneupError) -> bool:
    """Say whether the same call may succeed later."""
    return isinstance(error, Unavailable) or (
        isinstance(error, ApiError) and error.status in _LATER
    )


class Retries:
    """The repetitions of one call within a time budget.

    Waits are what the server asks for (Retry-After), else grow with full jitter.
    """

    def __init__(self, budget_seconds: float) -> None:
        self._until = time.monotonic() + budget_seconds
        self._count = 0

    def wait_seconds(self, error: TuneupError) -> float:
        """Return how long to wait before the next attempt; raise the error where there is none."""
        if not may_pass(error):
            raise error
        self._count += 1
        most = min(_MOST_SECONDS, _BASE_SECONDS * 2**self._count)
        asked = error.retry_after_seconds if isinstance(error, ApiError) else None
        wait = asked if asked is not None else random.uniform(_BASE_SECONDS / 2, most)  # noqa: S311
        if time.monotonic() + wait > self._until:
            raise error
        return wait

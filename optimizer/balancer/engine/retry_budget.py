"""A retry budget: retries may be a share of the calls, so that they do not make an outage worse.

Source: Finagle's RetryBudget, a leaky bucket of ten seconds.
"""

WINDOW_SECONDS = 10.0


class RetryBudget:
    """Counts calls and retries of the last ten seconds or so. Not for several threads at once."""

    __slots__ = ("_calls", "_retries", "_since")

    def __init__(self, now: float) -> None:
        # Each as (before, now): halves of the window.
        self._calls, self._retries, self._since = [0, 0], [0, 0], now

    def call(self) -> None:
        """Count a first attempt."""
        self._calls[1] += 1

    def lap(self, now: float) -> None:
        """Let what is older than the window go."""
        if now - self._since < WINDOW_SECONDS / 2:
            return
        idle = now - self._since >= WINDOW_SECONDS
        for counts in (self._calls, self._retries):
            counts[0], counts[1] = (0 if idle else counts[1]), 0
        self._since = now

    def take(self, percent: int, per_second: int) -> bool:
        """Take a retry if the budget has one: so many per cent of the calls, and some besides."""
        allowed = sum(self._calls) * percent / 100 + per_second * WINDOW_SECONDS
        if sum(self._retries) >= allowed:
            return False
        self._retries[1] += 1
        return True

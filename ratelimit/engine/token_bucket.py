"""The token bucket in memory, exact in whole numbers like the one in Redis.

It stands in for Redis while that is away, and replays recorded calls under other numbers.
"""

from ratelimit.engine.limit import MICRO


class TokenBucket:
    """A full bucket of `capacity` tokens that gains `refill_tokens` every period."""

    __slots__ = ("_at", "_full", "_refill", "_token", "_units")

    def __init__(
        self, capacity: int, refill_tokens: int, refill_period_seconds: int, now_us: int
    ) -> None:
        self._token = MICRO * refill_period_seconds
        self._refill = refill_tokens
        self._full = self._units = capacity * self._token
        self._at = now_us

    def _advance(self, now_us: int) -> None:
        if now_us > self._at:
            self._units = min(self._full, self._units + (now_us - self._at) * self._refill)
            self._at = now_us

    @property
    def remaining(self) -> int:
        """Whole tokens, at the time of the last call."""
        return self._units // self._token

    def spend(self, cost: int, now_us: int) -> int:
        """Spend the tokens and return 0, or spend nothing and return the wait in microseconds.

        A cost above the capacity can never pass; its wait is until the bucket is full.
        """
        self._advance(now_us)
        missing = cost * self._token - self._units
        if missing <= 0:
            self._units -= cost * self._token
            return 0
        return max(1, -(-min(missing, self._full - self._units) // self._refill))

    def spend_many(self, cost: int, count: int, now_us: int) -> int:
        """Spend for as many of `count` calls as there are tokens; return how many passed."""
        self._advance(now_us)
        passed = min(count, self._units // (cost * self._token))
        self._units -= passed * cost * self._token
        return passed

    def refund(self, cost: int) -> None:
        """Put back what was spent in vain."""
        self._units = min(self._full, self._units + cost * self._token)

    def keep_at_most(self, other: "TokenBucket") -> None:
        """Hold no more tokens than another bucket did, as when a share becomes smaller."""
        self._units = min(self._units, other._units * self._token // other._token)

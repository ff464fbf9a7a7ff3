"""What a token bucket allows, and what a decision says."""

from dataclasses import dataclass

MICRO = 1_000_000
MAX_EXACT = 2**53  # Lua and JSON keep whole numbers exactly up to here
MAX_SUBJECT_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: `capacity` tokens (the burst), refilled by `refill_tokens` each period.

    All whole numbers, so that the arithmetic is exact. Raises ValueError when a number is below 1
    or the bucket is too large to count exactly.
    """

    name: str
    capacity: int
    refill_tokens: int
    refill_period_seconds: int

    def __post_init__(self) -> None:
        for field in ("capacity", "refill_tokens", "refill_period_seconds"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1")
        if self.full_units > MAX_EXACT:
            raise ValueError(
                "capacity times refill_period_seconds must be at most"
                f" {MAX_EXACT // MICRO}, to be counted exactly"
            )

    @property
    def token_units(self) -> int:
        """How many units one token counts: a microsecond of refill adds `refill_tokens` units."""
        return MICRO * self.refill_period_seconds

    @property
    def full_units(self) -> int:
        return self.capacity * self.token_units

    @property
    def full_after_seconds(self) -> float:
        """How long an empty bucket takes to fill."""
        return self.capacity * self.refill_period_seconds / self.refill_tokens


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one check.

    `source` says who decided: "redis", "disabled" (the kill switch) or "redis-away" (the tier's
    policy). `retry_after_seconds` is 0 when allowed; `reset_after_seconds` is the time to full.
    """

    allowed: bool
    limit: Limit
    remaining: int
    retry_after_seconds: float
    reset_after_seconds: float
    source: str = "redis"

"""What a tier allows, and what a decision says."""

import math
import struct
import time
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from ratelimit.engine.periods import period_ends

MICRO = 1_000_000
MAX_EXACT = 2**53  # Lua and JSON keep whole numbers exactly up to here
MAX_SUBJECT_LENGTH = 256
LISTED_RETRY_SECONDS = 3600.0  # who is on the deny list has no bucket to wait for
LEASE_SECONDS = 0.05  # how long a process may hold tokens

BUCKET, QUOTA, CONCURRENCY = 1, 2, 4  # what a decision found violated
_ON_CHANGE = {"as-is": 0, "reset": 1, "proportional": 2}
_FAR = 2.0**52


class BadArgument(ValueError):
    """A call that no limiter could take: `field` is at fault, the message tells what is allowed."""

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(f"{field} {allowed}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: `capacity` tokens (the burst), refilled by `refill_tokens` each period.

    Beside it there may be a quota of a calendar day or month, and a limit of calls at once.
    `on_change` says what happens to the tokens in hand when the numbers change: "as-is", "reset"
    or "proportional"; `version` tells older numbers from newer ones. All counts are whole numbers,
    so that the arithmetic is exact. Raises ValueError when one is below 1 or the bucket is too
    large to count exactly.
    """

    name: str
    capacity: int
    refill_tokens: int
    refill_period_seconds: int
    version: int = 0
    on_change: str = "as-is"
    shadow: bool = False
    max_wait_seconds: float = 0.0
    lease_ratio: float = 0.0
    near_limit_ratio: float = 0.0
    quota: int = 0
    quota_period: str = "day"
    time_zone: str = "UTC"
    concurrency: int = 0
    hold_seconds: float = 60.0
    # With so many tokens left or fewer, a caller is warned.
    near_limit_tokens: int = field(default=0, init=False, repr=False, compare=False)
    # Whether tokens may be held by a process: only where the bucket alone decides.
    can_lease: bool = field(default=False, init=False, repr=False, compare=False)
    # The packed policy with the time until which it holds.
    _packed: list[tuple[bytes, float]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("capacity", "refill_tokens", "refill_period_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.full_units > MAX_EXACT:
            raise ValueError(
                "capacity times refill_period_seconds must be at most"
                f" {MAX_EXACT // MICRO}, to be counted exactly"
            )
        if self.on_change not in _ON_CHANGE:
            raise ValueError(f"on_change must be one of {', '.join(_ON_CHANGE)}")
        alone = not (self.quota or self.concurrency or self.shadow)
        near = math.floor(self.capacity * self.near_limit_ratio)
        object.__setattr__(self, "can_lease", self.lease_ratio > 0 and alone)  # frozen
        object.__setattr__(self, "near_limit_tokens", near)

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

    @property
    def is_timeless(self) -> bool:
        """Whether the packed policy never changes, and no slot goes with a check."""
        return not (self.quota or self.concurrency)

    def packed(self) -> bytes:
        """Return the policy as the scripts read it."""
        if self._packed:
            policy, until = self._packed[0]
            if until == math.inf or time.time() < until:
                return policy
        self._packed[:] = [self._pack()]
        return self._packed[0][0]

    def _pack(self) -> tuple[bytes, float]:
        policy = struct.pack(
            ">9d",
            self.capacity,
            self.refill_tokens,
            self.refill_period_seconds,
            self.version,
            _ON_CHANGE[self.on_change],
            self.shadow,
            round(self.max_wait_seconds * MICRO),
            round(LEASE_SECONDS * MICRO),
            self.lease_ratio if self.can_lease else 0,
        )
        if not self.quota and not self.concurrency:
            return policy, math.inf
        ends, until = (_FAR, _FAR, _FAR), math.inf
        if self.quota:
            zone = ZoneInfo(self.time_zone)
            ends = period_ends(datetime.now(zone), self.quota_period)
            until = ends[1] / MICRO
        extended = struct.pack(
            ">6d", self.quota, *ends, self.concurrency, round(self.hold_seconds * MICRO)
        )
        return policy + extended, until


class Decision(msgspec.Struct, frozen=True):
    """The answer to one check.

    `source` says who decided: "redis", "deny-cache", "lease", "disabled" (the kill switch), "list"
    (allowed or denied by name), "redis-away" (the tier is open or closed then) or "local" (its
    share of the bucket then). `delay_seconds` above 0 means: allowed, after so long. `slot` names
    what to release after a call of a tier that limits calls at once.
    """

    allowed: bool
    limit: Limit
    remaining: int = 0
    retry_at: float = 0.0  # by the monotonic clock, so that one answer stays true as time passes
    reset_at: float = 0.0
    source: str = "redis"
    policy: str = ""
    violated: int = 0
    delay_seconds: float = 0.0
    leased: int = 0
    quota_remaining: int = -1
    slots_remaining: int = -1
    slot: str = ""

    @property
    def retry_after_seconds(self) -> float:
        """How long until the same check may pass; 0 when it was allowed."""
        if self.retry_at:
            return max(0.0, self.retry_at - time.monotonic())
        return LISTED_RETRY_SECONDS if self.source == "list" and not self.allowed else 0.0

    @property
    def reset_after_seconds(self) -> float:
        """How long until the bucket is full."""
        return max(0.0, self.reset_at - time.monotonic())

    @property
    def shadow(self) -> bool:
        """Whether it would have been denied, were the tier not in shadow mode."""
        return self.allowed and self.violated != 0

    @property
    def near_limit(self) -> bool:
        """Whether so little is left that the caller is warned."""
        return self.allowed and self.remaining <= self.limit.near_limit_tokens > 0

    @property
    def violated_policies(self) -> tuple[str, ...]:
        """The names of what was violated, as the RateLimit fields give them."""
        names = ((BUCKET, ""), (QUOTA, "-quota"), (CONCURRENCY, "-concurrency"))
        return tuple(self.policy + suffix for bit, suffix in names if self.violated & bit)

    def __bool__(self) -> bool:
        return self.allowed


class Verdict(msgspec.Struct, frozen=True):
    """The answer to several limits in one check, spent together or not at all."""

    allowed: bool
    decisions: tuple[Decision, ...]

    @property
    def retry_after_seconds(self) -> float:
        """How long until the same check may pass; 0 when it was allowed."""
        return max((one.retry_after_seconds for one in self.decisions), default=0.0)

    @property
    def delay_seconds(self) -> float:
        """How long to wait before going on with what was allowed."""
        return max((one.delay_seconds for one in self.decisions), default=0.0)

    @property
    def violated_policies(self) -> tuple[str, ...]:
        """The names of what was violated."""
        return tuple(name for one in self.decisions for name in one.violated_policies)

    def __bool__(self) -> bool:
        return self.allowed

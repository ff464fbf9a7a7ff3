"""Replays recorded calls under other numbers: what a change would refuse."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ratelimit.engine.limit import MICRO, Limit
from ratelimit.engine.token_bucket import TokenBucket


class Offered(NamedTuple):
    """Calls of one subject within one second; `cost` is their mean, in tokens."""

    second: int
    subject: str
    cost: int
    calls: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What a limit would have done; `refused_by_subject` has the most refused first."""

    calls: int
    refused: int
    refused_by_subject: dict[str, int]

    @property
    def refused_percent(self) -> float:
        return 100 * self.refused / self.calls if self.calls else 0.0


def replay(offered: Iterable[Offered], limit: Limit) -> Replay:
    """Send the calls through buckets of this limit, one for each subject, full at first."""
    buckets: dict[str, TokenBucket] = {}
    refused: dict[str, int] = {}
    total = 0
    for second, subject, cost, count in sorted(offered):
        now = second * MICRO
        bucket = buckets.get(subject)
        if bucket is None:
            numbers = (limit.capacity, limit.refill_tokens, limit.refill_period_seconds)
            bucket = buckets[subject] = TokenBucket(*numbers, now)
        total += count
        passed = bucket.spend_many(max(1, cost), count, now)
        if passed < count:
            refused[subject] = refused.get(subject, 0) + count - passed
    ordered = dict(sorted(refused.items(), key=lambda item: -item[1]))
    return Replay(total, sum(refused.values()), ordered)

"""A process's share of a bucket while Redis is away: all shares together are the whole."""

from typing import NamedTuple

from ratelimit.engine.limit import Limit
from ratelimit.engine.token_bucket import TokenBucket


class Share(NamedTuple):
    """This process is number `rank` (from 0) of `of` that decide."""

    rank: int
    of: int


ALONE = Share(0, 1)


def bucket_of(limit: Limit, share: Share, now_us: int) -> TokenBucket | None:
    """Return this process's part of the bucket; None where others hold all of its tokens.

    The capacity is dealt out in whole tokens, the refill evenly among those who hold any.
    """
    holders = min(share.of, limit.capacity)
    if share.rank >= holders:
        return None
    capacity = limit.capacity // share.of + (share.rank < limit.capacity % share.of)
    period = limit.refill_period_seconds * holders
    return TokenBucket(capacity, limit.refill_tokens, period, now_us)

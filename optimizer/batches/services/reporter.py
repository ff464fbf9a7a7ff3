"""What this process did, told to Redis for the charts of the last hour."""

import os
from collections import Counter

from optimizer.control import ticker
from optimizer.control.redis import RedisAway
from optimizer.control.series import Series

OUTCOMES = ("done", "failed", "again")
series = Series("batches")


def count(job: str, counts: dict[str, int]) -> None:
    """Count items of a job by what became of them."""
    ticker.ensure()
    series.add(Counter({name_of(job, outcome): number for outcome, number in counts.items()}))


def name_of(job: str, outcome: str) -> str:
    """Return the name of a job's series."""
    return f"{job}:{outcome}"


def report() -> None:
    """Send what was counted; while Redis is away it is kept, up to a bound."""
    try:
        series.send()
    except RedisAway:
        return


def _after_fork() -> None:
    global series
    series = Series("batches")


os.register_at_fork(after_in_child=_after_fork)

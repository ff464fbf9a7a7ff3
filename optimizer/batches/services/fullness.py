"""Back pressure: whether a job has too much waiting, by its water marks.

A process looks at most four times a second and counts what it puts in meanwhile itself.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from optimizer.batches import metrics
from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Item, JobState
from optimizer.batches.services.errors import JobFull, TooMany

LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 0.1
_LEAST_RETRY_SECONDS, _MOST_RETRY_SECONDS = 1, 60


@dataclass(slots=True)
class _Level:
    version: int
    looked_at: float = -math.inf
    items: int = 0
    oldest_seconds: float = 0.0
    is_full: bool = False


_levels: dict[int, _Level] = {}
_lock = threading.Lock()


def admit(job: Job, count: int, *, wait: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Let so many items come, or raise JobFull; where the policy is to wait, wait first.

    Raises TooMany where they are more than there is ever room for.

    Nobody waits within a transaction: it would hold its locks meanwhile.
    """
    if job.past_high_water == "accept":
        return
    if count > job.high_water_items:
        raise TooMany(job.name, count, job.high_water_items)
    until = None
    while (level := _look(job, count)).is_full:
        now = time.monotonic()
        if until is None:
            may = wait and job.past_high_water == "wait" and not connection.in_atomic_block
            until = now + (job.max_wait_seconds if may else 0.0)
        if now >= until:
            metrics.REFUSED.labels(job.name).inc(count)
            raise JobFull(job.name, _retry_after(job, level))
        sleep(min(_PAUSE_SECONDS, until - now))
    level.items += count


def _look(job: Job, count: int) -> _Level:
    with _lock:
        level = _levels.get(job.id)
        if level is None or level.version != job.version:
            level = _levels[job.id] = _Level(job.version)
        now = time.monotonic()
        due = now - level.looked_at >= LOOK_SECONDS
        if due:
            level.looked_at = now
    if due:
        level.items = Item.objects.filter(job_id=job.id)[: job.high_water_items + 1].count()
        level.oldest_seconds = _oldest_seconds(job)
    too_old = 0 < job.high_water_seconds <= level.oldest_seconds
    if level.items + count > job.high_water_items or too_old:
        level.is_full = True
    elif level.items <= job.low_water_items:
        level.is_full = False
    return level


def _oldest_seconds(job: Job) -> float:
    if not job.high_water_seconds:
        return 0.0
    first = Item.objects.filter(job_id=job.id).order_by("available_at", "id")
    created_at = first.values_list("created_at", flat=True).first()
    return (timezone.now() - created_at).total_seconds() if created_at else 0.0


def _retry_after(job: Job, level: _Level) -> int:
    """Return in how many seconds the low-water mark should be reached at the present rate."""
    rate = JobState.objects.filter(job_id=job.id).values_list("rate", flat=True).first() or 0.0
    above = max(0, level.items - job.low_water_items)
    seconds = math.ceil(above / rate) if rate > 0 else _LEAST_RETRY_SECONDS * 5
    return min(max(seconds, _LEAST_RETRY_SECONDS), _MOST_RETRY_SECONDS)


def forget() -> None:
    """Forget what was seen, as in a process that has just started."""
    _levels.clear()


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)

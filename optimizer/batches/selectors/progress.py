"""How far a job is: done, failed, left, rate and time to go, in one query."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from optimizer.batches.engine import latency, rate
from optimizer.batches.engine.settings import Job
from optimizer.batches.live import batches
from optimizer.batches.models import DeadLetter, Item, JobState
from optimizer.batches.models import Job as Row

_SLOWEST_RATE = 0.01  # items a second; with less there is no telling when it ends


@dataclass(frozen=True, slots=True)
class Progress:
    """A job's counters and what follows from them.

    `state` is one of stopped, paused, waiting (after trouble), working, idle. Times are in
    seconds, None where nothing can be told; `dead_letters` are those that are kept.
    """

    job: str
    state: str
    because: str
    left: int
    done: int
    failed: int
    dead_letters: int
    rate_per_second: float
    eta_seconds: float | None
    oldest_seconds: float
    fraction: float
    chunk_items: int
    chunks: int
    retried: int
    trips: int
    rows_per_trip: float
    trips_saved: int
    flushes: dict[str, int]
    chunk_p50_seconds: float
    chunk_p95_seconds: float
    chunk_p99_seconds: float
    speed_up: float | None
    last_chunk_at: datetime | None
    last_error: str
    last_error_at: datetime | None


def progress(job: Job) -> Progress:
    """Return how far a job is, in one query."""
    return _progress(job, _states(job_id=job.id).get(job.id) or JobState(job_id=job.id))


def progress_of_all() -> list[Progress]:
    """Return how far all jobs are, in one query."""
    states = _states()
    jobs = sorted(batches.current().jobs.values(), key=lambda job: job.name)
    return [_progress(job, states.get(job.id) or JobState(job_id=job.id)) for job in jobs]


def _states(job_id: int | None = None) -> dict[int, JobState]:
    """Return the state of one or of all jobs, with counts of what waits, by the jobs' ids."""

    def of(model: Any, **aggregate: Any) -> Subquery:
        rows = model.objects.filter(job_id=OuterRef("pk")).order_by().values("job_id")
        return Subquery(rows.annotate(**aggregate).values(*aggregate))

    # From the jobs' rows: one that no worker has had in hand yet has no state, but items.
    jobs = Row.objects.all() if job_id is None else Row.objects.filter(pk=job_id)
    found = {}
    for row in jobs.select_related("state").annotate(
        left=Coalesce(of(Item, n=Count("*")), 0),
        oldest=of(Item, at=Min("created_at")),
        kept=Coalesce(of(DeadLetter, n=Count("*")), 0),
    ):
        state: Any = getattr(row, "state", None) or JobState(job_id=row.pk)
        state.left, state.oldest, state.dead_letters = row.left, row.oldest, row.kept
        found[row.pk] = state
    return found


def _progress(job: Job, state: Any) -> Progress:
    now, left = timezone.now(), getattr(state, "left", 0)
    oldest = getattr(state, "oldest", None)
    idle = (now - state.last_chunk_at).total_seconds() if state.last_chunk_at else math.inf
    pace = rate.faded(state.rate, idle) if math.isfinite(idle) else 0.0
    settled = state.done + state.failed
    name, because = _state(job, state, left, now)
    bulk, single = state.in_bulk_seconds, state.one_by_one_seconds
    return Progress(
        job=job.name,
        state=name,
        because=because,
        left=left,
        done=state.done,
        failed=state.failed,
        dead_letters=getattr(state, "dead_letters", 0),
        rate_per_second=round(pace, 2),
        eta_seconds=round(left / pace, 1) if left and pace > _SLOWEST_RATE else None,
        oldest_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        fraction=settled / (settled + left) if settled + left else 1.0,
        chunk_items=state.chunk_items if job.adaptive and state.chunk_items else job.chunk_items,
        chunks=state.chunks,
        retried=state.retried,
        trips=state.trips,
        rows_per_trip=round(state.done / state.trips, 1) if state.trips else 0.0,
        trips_saved=max(0, state.done - state.trips),
        flushes=dict(state.flushes),
        chunk_p50_seconds=latency.percentile(state.latencies, 0.5),
        chunk_p95_seconds=latency.percentile(state.latencies, 0.95),
        chunk_p99_seconds=latency.percentile(state.latencies, 0.99),
        speed_up=round(single / bulk, 1) if single and bulk else None,
        last_chunk_at=state.last_chunk_at,
        last_error=state.last_error,
        last_error_at=state.last_error_at,
    )


def _state(job: Job, state: JobState, left: int, now: datetime) -> tuple[str, str]:
    if state.stopped_at is not None:
        return "stopped", state.stopped_because
    if not (batches.current().enabled and job.enabled):
        return "paused", "It is switched off."
    if state.wait_until is not None and state.wait_until > now:
        return "waiting", state.last_error
    return ("working" if left else "idle"), ""

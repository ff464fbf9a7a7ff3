"""A worker's turn with a job: chunk after chunk, until nothing is due or others have their turn."""

import logging
import time
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError, OperationalError, close_old_connections, transaction
from django.utils import timezone

from optimizer.batches import metrics
from optimizer.batches.engine import chunk_size, flush
from optimizer.batches.engine.flush import RUN, SHUTDOWN, Due
from optimizer.batches.engine.settings import Job
from optimizer.batches.live import batches
from optimizer.batches.models import JobState, Run
from optimizer.batches.services import inbox, wakeups
from optimizer.batches.services.errors import Misconfigured, describe
from optimizer.batches.services.records import first_size, state_of
from optimizer.batches.services.working import work
from optimizer.control.backoff import full_jitter

logger = logging.getLogger(__name__)
QUICK_RETRIES = 3  # of a deadlock or a lock time-out, at once
_QUICK_SECONDS = 0.1
_LONGEST_LOOK_SECONDS = 2.0  # the sweep comes by then
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(slots=True)
class Drained:
    """What a turn came to; `ended` says why: empty, not due, time, stopped, paused, trouble."""

    ended: str = "empty"
    chunks: int = 0
    done: int = 0
    failed: int = 0
    again: int = 0
    look_in_seconds: float = 0.0


def drain(
    name: str,
    *,
    run: Run | None = None,
    reason: str = "",
    seconds: float | None = None,
) -> Drained:
    """Work at a job until nothing is due; with `reason` all that waits is.

    The turn ends after `seconds`, else after the setting `drain_seconds`.
    """
    until = time.monotonic() + (batches.current().drain_seconds if seconds is None else seconds)
    turn = Drained()
    retries = 0
    state: JobState | None = None
    while True:
        settings = batches.current()
        job = settings.jobs.get(name)
        if job is None or not (settings.enabled and job.enabled):
            turn.ended = "paused"
            return turn
        if job.only_in_runs and run is None:
            return turn
        try:
            state = state if state is not None else state_of(job)
            if (ended := _may_not(state)) != "":
                turn.ended = ended
                return turn
            size = first_size(job, state)
            due = Due(reason or (RUN if run else "")) if reason or run else _due(job, size)
            if not due.reason:
                turn.ended = "not due" if due.in_seconds > 0 else "empty"
                turn.look_in_seconds = due.in_seconds
                return turn
            chunk, state = work(job, state, due.reason, run=run)
        except OperationalError as error:
            if retries < QUICK_RETRIES and _is_quick(error):
                retries += 1
                _smaller_chunks(job)
                state = None
                time.sleep(full_jitter(retries, base_seconds=_QUICK_SECONDS, most_seconds=1.0))
                continue
            _trouble(job, error)
            turn.ended = "trouble"
            return turn
        except Exception as error:  # the job's own: a table that is missing, a handler that is gone
            _trouble(job, error)
            turn.ended = "trouble"
            return turn
        retries = 0
        turn.chunks += bool(chunk.taken)
        turn.done += chunk.done
        turn.failed += chunk.failed
        turn.again += chunk.again
        if reason == SHUTDOWN or time.monotonic() >= until:
            turn.ended = "time" if chunk.taken else "empty"
            return turn
        if not chunk.taken:
            # Others have it in hand, or its lanes are held: looking at once again finds the same.
            if run is None and not reason:
                turn.ended, turn.look_in_seconds = "not due", _LOOK_AGAIN_SECONDS
            return turn


def _due(job: Job, size: int) -> Due:
    waiting = inbox.waiting(job, size)
    return flush.due(job, waiting, size) if waiting.items else Due()


def _may_not(state: JobState) -> str:
    if state.stopped_at is not None:
        return "stopped"
    if state.wait_until is not None and state.wait_until > timezone.now():
        return "waiting"
    return ""


def _is_quick(error: OperationalError) -> bool:
    """Say whether another transaction was in the way: a deadlock, a lock, a serialization."""
    code = getattr(error.__cause__, "sqlstate", None) or ""
    return code[:2] == "40" or code == "55P03" or "locked" in str(error)


def _smaller_chunks(job: Job) -> None:
    metrics.TROUBLE.labels(job.name).inc()
    if not job.adaptive:
        return
    with transaction.atomic():
        state = JobState.objects.select_for_update().filter(job_id=job.id).first()
        if state is not None:
            state.chunk_items = chunk_size.after_trouble(
                first_size(job, state), least=job.least_chunk_items, most=job.most_chunk_items
            )
            state.save(update_fields=["chunk_items"])


def _trouble(job: Job, error: Exception) -> None:
    """Have the job wait, its items as they were; no item is to blame."""
    kind, text = describe(error)
    metrics.TROUBLE.labels(job.name).inc()
    expected = isinstance(error, Misconfigured | DatabaseError)
    logger.log(
        logging.WARNING if expected else logging.ERROR,
        "The batch job %s waits: %s: %s",
        job.name,
        kind,
        text,
        exc_info=None if expected else error,
    )
    try:
        close_old_connections()
        with transaction.atomic():
            state = JobState.objects.select_for_update().get(job_id=job.id)
            state.failures += 1
            wait = full_jitter(
                state.failures,
                base_seconds=job.backoff_seconds,
                most_seconds=job.max_backoff_seconds,
            )
            state.wait_until = timezone.now() + timedelta(seconds=wait)
            state.last_error, state.last_error_at = f"{kind}: {text}"[:500], timezone.now()
            state.save(update_fields=["failures", "wait_until", "last_error", "last_error_at"])
    except (DatabaseError, JobState.DoesNotExist):
        return  # it cannot be asked: the next sweep that can tries again


def turn(name: str) -> Drained:
    """Work at a job as a wake-up asks for, and see to it that what is left is looked at."""
    drained = drain(name)
    if drained.ended == "not due":
        wakeups.wake(name, min(drained.look_in_seconds, _LONGEST_LOOK_SECONDS))
    elif drained.ended == "time":
        wakeups.wake(name, 0.0)
    return drained


def drain_all(reason: str, seconds: float) -> None:
    """Write what waits of all jobs, within so many seconds: a worker is about to end."""
    until = time.monotonic() + seconds
    for job in batches.current().jobs.values():
        if (left := until - time.monotonic()) <= 0:
            return
        if not job.only_in_runs:
            drain(job.name, reason=reason, seconds=left)

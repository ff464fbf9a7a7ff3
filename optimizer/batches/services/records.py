"""A job's counters, written in the transaction of the chunk that they count."""

from collections import Counter
from typing import Any

from django.db.models import F
from django.utils import timezone

from optimizer.batches.engine import chunk_size, latency, rate
from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Callback, Item, JobState, Run
from optimizer.batches.services.chunks import Chunk


def first_size(job: Job, state: JobState) -> int:
    """Return the size of the next chunk."""
    if not job.adaptive:
        return job.chunk_items
    size = state.chunk_items or job.chunk_items
    return min(max(size, job.least_chunk_items), job.most_chunk_items)


def state_of(job: Job) -> JobState:
    """Return a job's state, made where it is missing."""
    return JobState.objects.get_or_create(job_id=job.id)[0]


def record(job: Job, chunk: Chunk, run: Run | None = None) -> JobState:
    """Add a chunk to its job's counters, last of all in its transaction; return the new ones.

    The row is locked from here to the commit alone, so workers of one job wait but shortly.
    """
    now = timezone.now()
    state, _ = JobState.objects.select_for_update().get_or_create(job_id=job.id)
    state.done += chunk.done
    state.failed += chunk.failed
    state.skipped += chunk.failed
    state.retried += chunk.again
    state.changed += chunk.changed
    state.folded += chunk.folded
    state.chunks += 1
    state.trips += chunk.trips
    state.payload_bytes += chunk.payload_bytes
    state.busy_seconds += chunk.seconds
    state.flushes = _plus(state.flushes, chunk.reason)
    state.latencies = _plus(state.latencies, latency.bucket(chunk.seconds))
    before = state.last_chunk_at
    elapsed = (now - before).total_seconds() if before else chunk.seconds
    state.rate = rate.updated(state.rate, items=chunk.done, elapsed_seconds=elapsed)
    state.last_chunk_at = now
    state.failures, state.wait_until = 0, None
    if chunk.error:
        state.last_error, state.last_error_at = chunk.error[:500], now
    if chunk.one_by_one_seconds is not None:
        state.one_by_one_seconds = chunk.one_by_one_seconds
        state.in_bulk_seconds, state.calibrated_at = chunk.in_bulk_seconds, now
        state.wants_calibration = False
    elif job.adaptive:
        state.chunk_items = _next_size(job, first_size(job, state), chunk)
    if chunk.failed and job.on_error == "stop":
        stop(state, f"An item could not be applied: {state.last_error}")
    elif job.skip_limit and state.skipped >= job.skip_limit:
        stop(state, f"{state.skipped} dead letters, the skip limit is {job.skip_limit}")
    state.save()
    if run is not None:
        Run.objects.filter(pk=run.pk).update(
            done=F("done") + chunk.done, failed=F("failed") + chunk.failed, seen_at=now
        )
    if job.has_callback and run is None and not Item.objects.filter(job_id=job.id).exists():
        tell(job, "drained", {"done": state.done, "failed": state.failed})
    return state


def _next_size(job: Job, size: int, chunk: Chunk) -> int:
    bounds = {"least": job.least_chunk_items, "most": job.most_chunk_items}
    if chunk.troubled:
        return chunk_size.after_trouble(size, **bounds)
    if chunk.failed:
        return size  # looking for the items took the time
    return chunk_size.next_size(
        size,
        items=chunk.taken,
        took_seconds=chunk.seconds,
        target_seconds=job.target_seconds,
        **bounds,
    )


def _plus(counts: dict[str, int], name: str) -> dict[str, int]:
    return dict(Counter(counts) + Counter({name: 1}))


def stop(state: JobState, because: str) -> None:
    """Stop a job until an admin resumes it."""
    if state.stopped_at is None:
        state.stopped_at, state.stopped_because = timezone.now(), because[:300]


def tell(job: Job, event: str, body: dict[str, Any]) -> None:
    """Have a call-back sent once the transaction is committed."""
    Callback.objects.create(job_id=job.id, event=event, body={"job": job.name, **body})

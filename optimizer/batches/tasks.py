"""What Celery's workers do for the batch processor."""

from dataclasses import asdict
from typing import Any

from celery import shared_task
from celery.signals import worker_process_shutdown
from django.db import DatabaseError

from optimizer.batches.engine.flush import SHUTDOWN
from optimizer.batches.live import batches
from optimizer.batches.services import callbacks, dead_letters, draining, runs, sweeping, wakeups

_SHUTDOWN_SECONDS = 2.0


@worker_process_shutdown.connect
def _ends(**_: Any) -> None:
    """Write what would have waited for more to come: nobody may be here to do it."""
    try:
        draining.drain_all(SHUTDOWN, _SHUTDOWN_SECONDS)
    except DatabaseError:
        return  # it is in the inbox


@shared_task(name="batches.drain", acks_late=True, reject_on_worker_lost=True)
def drain(job: str) -> dict[str, Any]:
    """Write what is due of a job; sent twice or not at all, it does no harm."""
    return asdict(draining.turn(job))


@shared_task(name="batches.sweep")
def sweep() -> int:
    """Find what has lost its wake-up: items, runs, dead letters, call-backs."""
    names = sweeping.waiting_jobs()
    for name in names:
        job = batches.current().jobs.get(name)
        if job is not None:  # not deleted a moment ago
            drain.apply_async(args=(name,), queue=wakeups.queue_of(job.priority), expires=30)
    for one in runs.unfinished():
        run.apply_async(kwargs={"job": one.job.name, "run_id": one.pk}, expires=30)
    if sweeping.has_asked_letters():
        letters.apply_async(expires=30)
    callbacks.deliver_due()
    return len(names)


@shared_task(name="batches.letters")
def letters() -> None:
    """Replay and discard the many dead letters that somebody has asked for."""
    dead_letters.work_off()


@shared_task(name="batches.forget")
def forget() -> dict[str, int]:
    """Delete old keys, runs and call-backs."""
    return sweeping.forget()


@shared_task(name="batches.run", acks_late=True, reject_on_worker_lost=True)
def run(job: str, trigger: str = "schedule", run_id: int | None = None, actor: str = "") -> str:
    """Run a job, or carry on a run; return what state it is in."""
    return runs.task(job, trigger=trigger, run_id=run_id, actor=actor)

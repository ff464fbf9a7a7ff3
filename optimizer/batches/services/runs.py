"""Runs of a job: all that waits, and what its source gives; on a schedule or because one asks."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Max
from django.utils import timezone

from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Item, Run
from optimizer.batches.models import Job as Row
from optimizer.batches.services import schedules
from optimizer.batches.services.draining import drain
from optimizer.batches.services.errors import BatchError, UnknownJob, describe
from optimizer.batches.services.functions import sources
from optimizer.batches.services.records import tell
from optimizer.batches.services.submitting import Entry, encode, find, put

logger = logging.getLogger(__name__)
LOST_AFTER_SECONDS = 15
_SOURCE_CHUNK = 1000
_TURN_SECONDS = 5.0


class Overlap(BatchError):
    """Another run of the job is going on, and the job forbids two."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a run of the job {name!r} is going on")


def begin(name: str, *, trigger: str, actor: str = "") -> Run:
    """Begin a run. Raises UnknownJob and Overlap."""
    job = find(name)
    try:
        with transaction.atomic():
            # Locked, so that nobody deletes it meanwhile; this process may not have heard of it.
            if not Row.objects.select_for_update(no_key=True).filter(pk=job.id).exists():
                raise UnknownJob(name)
            return Run.objects.create(
                job_id=job.id, trigger=trigger, actor=actor[:150], alone=not job.overlap
            )
    except IntegrityError as error:
        raise Overlap(name) from error


def skip(name: str, due_at: datetime) -> Run:
    """Record a run that was missed and is left out. Raises UnknownJob."""
    return Run.objects.create(
        job_id=find(name).id,
        trigger=Run.Trigger.SCHEDULE,
        state=Run.State.SKIPPED,
        alone=False,
        message=f"Missed: it was due at {due_at:%Y-%m-%d %H:%M:%S} UTC.",
        finished_at=timezone.now(),
    )


def task(name: str, *, trigger: str, run_id: int | None = None, actor: str = "") -> str:
    """Begin a run, or carry one on; return its state, or why there is none."""
    if run_id is not None:
        run = _taken_over(run_id)
        if run is None:
            return "elsewhere"
        return carry_on(run, find(name)).state
    try:
        if trigger == Run.Trigger.SCHEDULE and (ended := _not_now(find(name))):
            return ended
        run = begin(name, trigger=trigger, actor=actor)
    except Overlap:
        return "overlap"
    except UnknownJob:
        return "unknown job"  # it was deleted or renamed while the message waited
    return carry_on(run, find(name)).state


def _not_now(job: Job) -> str:
    """Return why a scheduled run does not begin, "" where it does."""
    task_row = schedules.task_of(job.name)
    if task_row is None:
        return ""
    scheduled = Run.objects.filter(job_id=job.id, trigger=Run.Trigger.SCHEDULE).order_by("-pk")
    last = scheduled.values_list("started_at", flat=True).first()
    if last is not None and schedules.is_surplus(task_row, last):
        return "surplus"
    if job.missed == "skip" and (due_at := _missed(job, task_row, last)) is not None:
        return skip(job.name, due_at).state
    return ""


def _taken_over(run_id: int) -> Run | None:
    """Return a run that nobody works at, for this process to do; None where somebody does."""
    long_ago = timezone.now() - timedelta(seconds=LOST_AFTER_SECONDS)
    idle = Run.objects.filter(pk=run_id, state=Run.State.RUNNING, seen_at__lt=long_ago)
    return Run.objects.get(pk=run_id) if idle.update(seen_at=timezone.now()) else None


def _missed(job: Job, task_row: Any, last: datetime | None) -> datetime | None:
    """Return when a run was due that is to be left out, None where it is in time."""
    moments = [one for one in (last, schedules.since(task_row)) if one is not None]
    due_at = schedules.due_at(task_row, max(moments)) if moments else None
    if due_at is None:
        return None
    late = (timezone.now() - due_at).total_seconds()
    return due_at if late > job.missed_after_seconds else None


def carry_on(run: Run, job: Job) -> Run:
    """Do a run's work from where it is to its end; return it as it is then.

    It stays *running* where the job waits or the turn of the process that does it ends; the sweep
    carries it on.
    """
    if not run.collected and not _collect(run, job):
        run.refresh_from_db()
        return run
    while True:
        drained = drain(job.name, run=run, seconds=_TURN_SECONDS)
        run.refresh_from_db()
        if drained.ended == "time":
            _touch(run)
            continue
        if drained.ended != "empty":
            return run
        left = Item.objects.filter(job_id=job.id, id__lte=run.upto_id).count()
        if left:  # another worker has them in hand, or they wait for another attempt
            return run
        return _finish(run, job, Run.State.DONE, "")


def _collect(run: Run, job: Job) -> bool:
    """Put what the source gives into the inbox, and set where the run ends; False if that fails.

    Keys of its own tell items apart that an interrupted run has put in before.
    """
    try:
        if job.source:
            function = sources().get(job.source)
            if function is None:
                raise LookupError(f"source: {job.source!r} is not registered")
            _fill(run, job, function())
    except (OperationalError, InterfaceError):
        raise  # the database is away: the sweep carries the run on
    except Exception as error:  # the project's code
        logger.exception("The source of the batch job %s failed", job.name)
        _finish(run, job, Run.State.FAILED, ": ".join(describe(error)))
        return False
    items = Item.objects.filter(job_id=job.id)
    run.upto_id = items.aggregate(last=Max("id"))["last"] or 0
    run.total, run.collected = items.count(), True
    run.save(update_fields=["upto_id", "total", "collected"])
    return True


def _fill(run: Run, job: Job, given: Iterable[Any]) -> None:
    number, entries = 0, iter(given)
    while portion := list(islice(entries, _SOURCE_CHUNK)):
        new = []
        for one in portion:
            entry = one if isinstance(one, Entry) else Entry(one)
            key = entry.key or f"run-{run.pk}-{number}"
            new.append(encode(number, Entry(entry.item, key, entry.order)))
            number += 1
        put(job, new, admit=False)
        _touch(run)


def _touch(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(seen_at=timezone.now())


def _finish(run: Run, job: Job, state: str, message: str) -> Run:
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        if locked.state == Run.State.RUNNING:
            locked.state, locked.message = state, message[:500]
            locked.finished_at = timezone.now()
            locked.save(update_fields=["state", "message", "finished_at"])
            if job.has_callback:
                counts = {"total": locked.total, "done": locked.done, "failed": locked.failed}
                tell(job, "run", {"run": locked.pk, "state": state, "message": message, **counts})
    return locked


def unfinished() -> list[Run]:
    """Return the running runs that nobody works at: their process was lost, or their job waited."""
    long_ago = timezone.now() - timedelta(seconds=LOST_AFTER_SECONDS)
    running = Run.objects.filter(state=Run.State.RUNNING, seen_at__lt=long_ago)
    return list(running.select_related("job"))

"""What people do with jobs: run them, pause and resume them."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from celery import current_app
from django.db import transaction
from django.utils import timezone

from optimizer.batches.models import Job, Run
from optimizer.batches.services import resuming, runs, wakeups
from optimizer.batches.services.errors import UnknownJob
from optimizer.batches.services.submitting import find

logger = logging.getLogger(__name__)
_LOOK_SECONDS = 0.5


def hand_over(name: str, *, trigger: str, actor: str = "") -> Run:
    """Begin a run for a worker to do; should the message to it be lost, the sweep finds the run.

    Raises UnknownJob and runs.Overlap.
    """
    with transaction.atomic():
        run = runs.begin(name, trigger=trigger, actor=actor)
        # As one that nobody works at: whoever comes first takes it over, and nobody after him.
        run.seen_at = timezone.now() - timedelta(seconds=runs.LOST_AFTER_SECONDS + 1)
        run.save(update_fields=["seen_at"])
        transaction.on_commit(partial(_send, name, run.pk))
    return run


def _send(name: str, run_id: int) -> None:
    try:
        current_app.send_task(
            "batches.run",
            kwargs={"job": name, "run_id": run_id},
            queue=wakeups.queue_of(find(name).priority),
            expires=60,
            retry=False,
        )
    except Exception as error:  # whatever a broker's client raises; the sweep comes anyway
        logger.warning("No worker could be told of run %s of %s: %s", run_id, name, error)


def run_here(
    name: str,
    *,
    trigger: str,
    actor: str = "",
    begun: Callable[[Run], None] = lambda _: None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Run:
    """Do a run in this process to its end; return it.

    It is still *running* where `may_go_on` has said no: the workers carry it on then. Raises
    UnknownJob and runs.Overlap.
    """
    run = runs.begin(name, trigger=trigger, actor=actor)
    begun(run)
    while True:
        runs.carry_on(run, find(name))
        run.refresh_from_db()
        if run.state != Run.State.RUNNING or not may_go_on():
            return run
        # Others have its last items in hand, or they wait for another attempt.
        Run.objects.filter(pk=run.pk).update(seen_at=timezone.now())
        time.sleep(_LOOK_SECONDS)


def pause(name: str) -> None:
    """Have a job keep what comes in and write nothing, as a revision. Raises UnknownJob."""
    resuming.set_enabled([_row(name)], False)


def resume(name: str) -> None:
    """Have a job go on, whether it was paused, stopped or waits after trouble.

    Raises UnknownJob.
    """
    with transaction.atomic():
        row = _row(name)
        resuming.set_enabled([row], True)
        resuming.resume([row])


def _row(name: str) -> Job:
    row = Job.objects.filter(pk=find(name).id).first()
    if row is None:
        raise UnknownJob(name)
    return row

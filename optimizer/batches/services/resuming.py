"""What people do to a job beside its settings: pause it, let it go on, resume it, delete it."""

from collections.abc import Iterable

from django.db import transaction

from optimizer.batches.models import AcceptedKey, Callback, DeadLetter, Item, Job, JobState, Run
from optimizer.batches.services import wakeups
from optimizer.control.revisions import change

_CHUNK = 5000
_OF_A_JOB = (Item, AcceptedKey, DeadLetter, Run, Callback)


def set_enabled(jobs: Iterable[Job], enabled: bool) -> int:
    """Pause jobs or let them go on; return how many have changed."""
    changed = [job for job in jobs if job.enabled != enabled]
    if not changed:
        return 0
    with change("batches", reason="Goes on" if enabled else "Paused"):
        for job in changed:
            job.enabled = enabled
            job.save()  # one by one: each has a periodic task that follows it
            if enabled:
                wakeups.wake_on_commit(job.name)
    return len(changed)


def resume(jobs: Iterable[Job]) -> int:
    """Let stopped or waiting jobs work again at once; return how many there were."""
    count = 0
    for job in jobs:
        with transaction.atomic():
            state = JobState.objects.select_for_update().filter(job_id=job.pk).first()
            if state is None or (state.stopped_at is None and state.wait_until is None):
                continue
            state.stopped_at, state.stopped_because = None, ""
            state.skipped, state.failures, state.wait_until = 0, 0, None
            state.save(
                update_fields=[
                    "stopped_at", "stopped_because", "skipped", "failures", "wait_until",
                ]
            )  # fmt: skip
            wakeups.wake_on_commit(job.name)
        count += 1
    return count


def remove(job: Job) -> None:
    """Delete a job and all that is its own, in portions; what is many is not loaded.

    Nothing points at these rows, so nothing has to be looked for.
    """
    for model in _OF_A_JOB:
        rows = model.objects.filter(job_id=job.pk).order_by("pk")
        while pks := list(rows.values_list("pk", flat=True)[:_CHUNK]):
            doomed = model.objects.filter(pk__in=pks)
            doomed._raw_delete(doomed.db)
    job.delete()

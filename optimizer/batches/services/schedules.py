"""django-celery-beat's rows, made from the jobs' schedules; what is changed there is mended."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from optimizer.batches.models import Job
from optimizer.batches.models.schedules import crontab_of

TASK = "batches.run"
_PREFIX = "batches: "
_SINCE = "Made from the batch job of this name; as it is since "


def name_of(job: str) -> str:
    """Return the name of a job's periodic task."""
    return f"{_PREFIX}{job}"


def sync(job: Job) -> None:
    """Make a job's periodic task agree with its row."""
    known = PeriodicTask.objects.filter(name=name_of(job.name)).first()
    if job.schedule == "none":
        if known is not None:
            known.delete()
        return
    wanted: dict[str, Any] = {
        "task": TASK,
        "kwargs": json.dumps({"job": job.name, "trigger": "schedule"}),
        "enabled": job.enabled and job.schedule_on,
        "queue": None,
        "interval": None,
        "crontab": None,
        "solar": None,
        "clocked": None,
        "one_off": False,
    }
    if job.schedule == "interval":
        every = {"every": job.every_seconds, "period": IntervalSchedule.SECONDS}
        # There may be several: nothing forbids it there.
        wanted["interval"] = IntervalSchedule.objects.filter(
            **every
        ).first() or IntervalSchedule.objects.create(**every)
    else:
        wanted["crontab"] = CrontabSchedule.objects.filter(
            timezone=job.time_zone, **crontab_of(job.crontab)
        ).first() or CrontabSchedule.objects.create(
            timezone=job.time_zone, **crontab_of(job.crontab)
        )
    task = known or PeriodicTask(name=name_of(job.name))
    if known is not None and all(getattr(known, name) == value for name, value in wanted.items()):
        return  # saving it would have beat read all of them
    # What would have been due before, by the new times or while it was off, was not missed.
    task.last_run_at = timezone.now()
    task.description = f"{_SINCE}{task.last_run_at.isoformat()}"
    for name, value in wanted.items():
        setattr(task, name, value)
    task.save()


def sync_all() -> None:
    """Make all periodic tasks of jobs agree with the jobs, and delete those of none."""
    with transaction.atomic():
        jobs = list(Job.objects.all())
        for job in jobs:
            sync(job)
        remove_unclaimed()


def remove_unclaimed() -> None:
    """Delete the periodic tasks of jobs that there are no more, or not by this name."""
    names = {name_of(job) for job in Job.objects.values_list("name", flat=True)}
    for task in PeriodicTask.objects.filter(task=TASK, name__startswith=_PREFIX):
        if task.name not in names:
            task.delete()


def task_of(job: str) -> PeriodicTask | None:
    """Return a job's periodic task, None where it has no schedule."""
    return PeriodicTask.objects.filter(name=name_of(job)).first()


def since(task: PeriodicTask) -> datetime | None:
    """Return since when a job has had its present schedule."""
    first, _, text = task.description.partition(_SINCE)
    try:
        return datetime.fromisoformat(text) if not first else None
    except ValueError:
        return None


def due_at(task: PeriodicTask, last_run_at: datetime) -> datetime | None:
    """Return when the first run after a moment is due, or was; None where it never comes."""
    try:
        remaining: timedelta = task.schedule.remaining_estimate(last_run_at)
    except (ValueError, RuntimeError):
        return None  # its crontab was changed elsewhere into one that beat cannot count with
    return (timezone.now() + remaining).astimezone(UTC)


def is_surplus(task: PeriodicTask, last_run_at: datetime) -> bool:
    """Say whether a run that would begin now is one more than the schedule has.

    While no worker is there, beat sends a message for each time that passes. The first one makes
    up for all of them.
    """
    next_at = due_at(task, last_run_at)
    if next_at is None:
        return False
    # Messages wait for workers now less, now more: an interval may come out so much shorter.
    slack_seconds = task.interval.every / 2 if task.interval is not None else 1.0
    return (next_at - timezone.now()).total_seconds() > slack_seconds


def next_runs() -> dict[str, datetime | None]:
    """Return when each job with a schedule runs next, by job."""
    found: dict[str, datetime | None] = {}
    tasks = PeriodicTask.objects.filter(task=TASK, name__startswith=_PREFIX)
    for task in tasks.select_related("interval", "crontab"):
        job = task.name.removeprefix(_PREFIX)
        last = task.last_run_at or task.date_changed
        found[job] = due_at(task, last) if task.enabled and last else None
    return found


def remove(job: str) -> None:
    """Delete a job's periodic task, if it has one."""
    PeriodicTask.objects.filter(name=name_of(job)).delete()

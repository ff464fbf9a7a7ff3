"""What beat asks for: to look for what has lost its wake-up, and to forget what is old."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from optimizer.batches.live import batches
from optimizer.batches.models import AcceptedKey, Callback, DeadLetter, Item, Run
from optimizer.batches.services import schedules

_CHUNK = 5000


def waiting_jobs() -> list[str]:
    """Return the jobs that have items to be taken now."""
    settings, now = batches.current(), timezone.now()
    if not settings.enabled:
        return []
    return [
        job.name
        for job in settings.jobs.values()
        if job.enabled
        and not job.only_in_runs
        and Item.objects.filter(job_id=job.id, available_at__lte=now).exists()
    ]


def has_asked_letters() -> bool:
    """Say whether dead letters wait to be replayed or discarded."""
    return DeadLetter.objects.exclude(asked="").exists()


def forget() -> dict[str, int]:
    """Delete old keys, runs and call-backs, in portions; and mend the schedules."""
    settings, now = batches.current(), timezone.now()
    keys_before = now - timedelta(hours=settings.remember_keys_hours)
    runs_before = now - timedelta(days=settings.keep_runs_days)
    schedules.sync_all()
    return {
        "keys": _delete(AcceptedKey.objects.filter(accepted_at__lt=keys_before)),
        "runs": _delete(Run.objects.filter(finished_at__lt=runs_before)),
        "callbacks": _delete(Callback.objects.filter(created_at__lt=runs_before)),
    }


def _delete(rows: QuerySet[Any]) -> int:
    total = 0
    while pks := list(rows.order_by("pk").values_list("pk", flat=True)[:_CHUNK]):
        old = rows.model.objects.filter(pk__in=pks)
        total += old._raw_delete(old.db)  # nothing points at them, so they need not be loaded
    return total

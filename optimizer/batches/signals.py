"""A job's row and its periodic task change together, whichever way the row is written."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from optimizer.batches.models import Job
from optimizer.batches.services import schedules


@receiver(post_save, sender=Job)
def _saved(instance: Job, **_: Any) -> None:
    schedules.sync(instance)
    schedules.remove_unclaimed()  # it may have had another name


@receiver(post_delete, sender=Job)
def _deleted(instance: Job, **_: Any) -> None:
    schedules.remove(instance.name)

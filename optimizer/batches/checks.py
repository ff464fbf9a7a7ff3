"""System checks of the Celery settings that the batch processor counts on."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register("batches")
def celery_settings(**_: Any) -> list[CheckMessage]:
    """Check that a worker that is lost gives its tasks back."""
    wanted = {
        "CELERY_TASK_ACKS_LATE": True,
        "CELERY_TASK_REJECT_ON_WORKER_LOST": True,
        "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,
    }
    return [
        Warning(
            f"{name} is {getattr(settings, name, None)!r}, not {value!r}: what a lost worker had "
            "in hand is found by the next sweep only.",
            id="batches.W001",
        )
        for name, value in wanted.items()
        if getattr(settings, name, None) != value
    ]

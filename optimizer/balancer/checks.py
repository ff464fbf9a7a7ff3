"""System checks of what the load balancer counts on."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register("balancer")
def beat_checks_backends(**_: Any) -> list[CheckMessage]:
    """Check that beat runs the active health checks."""
    tasks = {one.get("task") for one in settings.CELERY_BEAT_SCHEDULE.values()}
    if "balancer.check" in tasks:
        return []
    return [
        Warning(
            "CELERY_BEAT_SCHEDULE has no task balancer.check: backends are not checked actively.",
            id="balancer.W001",
        )
    ]

"""What the query optimizer knows, for its doors."""

from typing import Any

from django.db import DatabaseError

from optimizer.queries.live import queries
from optimizer.queries.models import Finding, Ignored, IgnoreRule
from optimizer.queries.models.findings import State
from optimizer.queries.services import capture, watching


def status() -> dict[str, Any]:
    """Return what the status page says of the component."""
    settings = queries.current()
    told: dict[str, Any] = {
        "watching": settings.mode if settings.watches else "off",
        "sample_rate": round(watching.sampler.rate, 4),
        "errors": capture.errors,
    }
    try:
        told["open_findings"] = Finding.objects.filter(state=State.OPEN).count()
    except DatabaseError:
        told["open_findings"] = None
    return told


def unused_patterns() -> list[str]:
    """Return the patterns of the ignore list that nothing has matched so far."""
    matched = Ignored.objects.values("pattern")
    return list(IgnoreRule.objects.exclude(pattern__in=matched).values_list("pattern", flat=True))

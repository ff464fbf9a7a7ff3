"""The component's state in few words, for the dashboard and /api/."""

from typing import Any

from django.db import DatabaseError

from optimizer.batches.live import batches
from optimizer.batches.selectors.progress import progress_of_all


def status() -> dict[str, Any]:
    """Return what the dashboard shows, quickly and without raising."""
    settings = batches.current()
    found: dict[str, Any] = {"enabled": settings.enabled, "jobs": len(settings.jobs)}
    try:
        every = progress_of_all()
    except DatabaseError as error:
        return {**found, "error": f"{type(error).__name__}: {error}"}
    return {
        **found,
        "waiting_items": sum(one.left for one in every),
        "items_per_second": round(sum(one.rate_per_second for one in every), 1),
        "dead_letters": sum(one.dead_letters for one in every),
        "stopped_jobs": [one.job for one in every if one.state == "stopped"],
    }

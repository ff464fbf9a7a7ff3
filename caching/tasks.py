"""What Celery's workers do for the cache; beat asks for it, or a program."""

from dataclasses import asdict
from typing import Any

from celery import shared_task

from caching.services import records, sweeping, warmers


class WarmingFailed(Exception):
    """A warmer raised an error, which this tells."""


@shared_task(name="caching.warm")
def warm(name: str) -> float:
    """Run a warmer; return the seconds it took. Raises UnknownWarmer and WarmingFailed."""
    warmed = warmers.warm(name)
    if warmed.error:
        raise WarmingFailed(f"{name}: {warmed.error}")
    return warmed.took_seconds


@shared_task(name="caching.sweep")
def sweep() -> dict[str, Any]:
    """Sweep a part of what expired or was invalidated, and old records; return what was done."""
    records.forget_old()
    return {alias: asdict(swept) for alias, swept in sweeping.sweep_all().items()}

"""A run of the self-checks by a worker, as the admin's page follows it.

It is kept in the cache for a day: what a check found is of no use for longer.
"""

import secrets
from dataclasses import asdict
from typing import Any

from celery import current_app
from django.core.cache import cache
from django.utils import timezone

from optimizer.operations import verifying

_KEY = "operations:verification"
_KEPT_SECONDS = 86_400
_LOST_AFTER_SECONDS = 120


class NotSent(Exception):
    """No worker could be told."""


def ask_for(actor: str) -> None:
    """Have a worker run the checks. Raises NotSent where the broker cannot be told."""
    run = secrets.token_hex(8)
    _keep({"run": run, "actor": actor, "state": "waiting", "outcomes": [], "total": 0})
    try:
        current_app.send_task("operations.verify", args=(run, actor), retry=False, expires=300)
    except Exception as error:  # whatever a broker's client raises
        raise NotSent(f"{type(error).__name__}: {error}") from error


def run(run: str, actor: str) -> None:
    """Run the checks, and tell after each how far it is."""
    chosen = verifying.checks()
    outcomes: list[dict[str, Any]] = []
    told = {"run": run, "actor": actor, "total": len(chosen), "outcomes": outcomes}

    def begins(number: int, component: str, check: str) -> None:
        _keep({**told, "state": "running", "now": f"{component}: {check}"})

    for outcome in verifying.run(chosen, begins):
        outcomes.append(asdict(outcome))
    _keep({**told, "state": "done"})


def last() -> dict[str, Any] | None:
    """Return the last run: its state (waiting, running, done, lost) and its outcomes."""
    found: dict[str, Any] | None = cache.get(_KEY)
    if found is None:
        return None
    age_seconds = (timezone.now() - found["at"]).total_seconds()
    if found["state"] in ("waiting", "running") and age_seconds > _LOST_AFTER_SECONDS:
        return {**found, "state": "lost"}
    return found


def _keep(told: dict[str, Any]) -> None:
    cache.set(_KEY, {**told, "at": timezone.now()}, _KEPT_SECONDS)

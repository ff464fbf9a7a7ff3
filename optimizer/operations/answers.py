"""The bodies of what is polled: at most so old as an admin allows, made once for all processes."""

from collections.abc import Callable

from django.core.cache import cache

from optimizer.operations import overview
from optimizer.operations.live import operations
from optimizer.operations.metrics import exposition

JSON = "application/json"
_KEY = "operations:answer:"


def overview_body() -> bytes:
    """Return the overview, from the cache where that is allowed. Raises DatabaseError."""
    return _young("overview", overview.body)


def metrics_body() -> bytes:
    """Return all processes' metrics, from the cache where that is allowed."""
    return _young("metrics", exposition)


def _young(name: str, make: Callable[[], bytes]) -> bytes:
    now = operations.current()
    if not now.fast_answers or not now.answer_age_seconds:
        return make()
    return cache.get_or_set(_KEY + name, make, now.answer_age_seconds) or make()

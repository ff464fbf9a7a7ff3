"""The bodies of what is polled: at most so old as an admin allows, made once for all processes."""

import hashlib
import os
import socket
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
    """Return all processes' metrics, from the cache where that is allowed.

    Kept apart by host and folder: several of them share the cache, and each counts for itself.
    """
    where = f"{socket.gethostname()}:{os.environ.get('PROMETHEUS_MULTIPROC_DIR') or os.getpid()}"
    return _young(f"metrics:{hashlib.sha256(where.encode()).hexdigest()[:16]}", exposition)


def _young(name: str, make: Callable[[], bytes]) -> bytes:
    now = operations.current()
    if not now.fast_answers or not now.answer_age_seconds:
        return make()
    return cache.get_or_set(_KEY + name, make, now.answer_age_seconds) or make()

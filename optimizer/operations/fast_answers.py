"""What is polled, answered before Django's handler; None leaves a call to Django's own views."""

from typing import Any

from django.db import DatabaseError, close_old_connections
from prometheus_client import CONTENT_TYPE_LATEST

from optimizer.control import keys
from optimizer.operations import answers
from optimizer.operations.live import operations
from optimizer.operations.views import SCOPE, is_allowed, is_near

Answer = tuple[int, list[tuple[str, str]], bytes]
BEARER = "Bearer "
_ALIVE = b'{"status": "up"}'


def health(environ: dict[str, Any]) -> Answer | None:
    """Say that this process answers; touch nothing else."""
    return 200, [("Content-Type", answers.JSON)], _ALIVE


def metrics(environ: dict[str, Any]) -> Answer | None:
    """Return the metrics to an allowed network, or to a key."""
    # Behind proxies an address is a matter of headers.
    direct = is_near(environ) and not operations.current().trusted_proxy_count
    if not (direct and is_allowed(environ.get("REMOTE_ADDR", ""))) and not may(environ, SCOPE):
        return None
    return 200, [("Content-Type", CONTENT_TYPE_LATEST)], answers.metrics_body()


def overview(environ: dict[str, Any]) -> Answer | None:
    """Return the overview to a key."""
    if not may(environ, SCOPE):
        return None
    try:
        return 200, [("Content-Type", answers.JSON)], answers.overview_body()
    except DatabaseError:
        return None  # Django's handler says it
    finally:
        close_old_connections()  # as Django's handler does after each request


def may(environ: dict[str, Any], scope: str) -> bool:
    """Say whether a call has a valid key with a scope."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    if not header.startswith(BEARER):
        return False
    identity = keys.authenticate(header[len(BEARER) :])
    return identity is not None and identity.may(scope)


ANSWERS = {"/health": health, "/metrics": metrics, "/api/overview": overview}

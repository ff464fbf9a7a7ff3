"""Prometheus: what every process counts, gathered over all of them."""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from celery.signals import worker_process_shutdown
from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)

REQUESTS = Counter("tuneup_http_requests_total", "HTTP requests.", ("method", "route", "status"))
DURATION = Histogram(
    "tuneup_http_request_duration_seconds",
    "Time to answer an HTTP request.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.35, 0.5, 1, 2.5, 10),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def exposition() -> tuple[bytes, str]:
    """Return the metrics of all processes, or of this one where they share no folder."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


class MetricsMiddleware:
    """Count requests by route pattern, never by path, so that labels stay few."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        route = match.route if match is not None else "unmatched"
        method = request.method if request.method in _METHODS else "other"
        _requests(method or "other", route, response.status_code).inc()
        _duration(route).observe(time.perf_counter() - started)
        return response


@lru_cache(maxsize=2048)
def _requests(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@lru_cache(maxsize=512)
def _duration(route: str) -> Histogram:
    return DURATION.labels(route)


@worker_process_shutdown.connect
def _forget_child(pid: int, **_: Any) -> None:
    # Else a gauge of living processes goes on counting children that were recycled.
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]

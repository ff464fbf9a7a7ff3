"""Prometheus: what every process counts, gathered over all of them."""

import logging
import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from prometheus_client import (
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
access_log = logging.getLogger("tuneup.access")  # on by ACCESS_LOG
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def exposition() -> bytes:
    """Return the metrics of all processes, or of this one where they share no folder."""
    registry = REGISTRY
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        _forget_the_dead(Path(folder))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


class MetricsMiddleware:
    """Count requests by route pattern, never by path, so that labels stay few."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        route = match.route if match is not None else "unmatched"
        took_seconds = time.perf_counter() - started
        count_request(request.method or "", route, response.status_code, took_seconds)
        return response


def count_request(method: str, route: str, status: int, took_seconds: float) -> None:
    """Count one request of a route pattern, and say so where the access log is on."""
    _requests(method if method in METHODS else "other", route, status).inc()
    _duration(route).observe(took_seconds)
    if access_log.isEnabledFor(logging.INFO):
        access_log.info(
            "%s %s %s",
            method,
            route,
            status,
            extra={
                "method": method,
                "route": route,
                "status": status,
                "ms": round(took_seconds * 1000, 2),
            },
        )


@lru_cache(maxsize=2048)
def _requests(method: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(method, route, str(status))


@lru_cache(maxsize=512)
def _duration(route: str) -> Histogram:
    return DURATION.labels(route)


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of processes that are gone: recycled children, and those that were killed.

    Without it a gauge of living processes would go on counting them.
    """
    pids = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:  # another user's, and alive
            continue

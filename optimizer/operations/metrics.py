"""Prometheus: what every process counts, gathered over all of them."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
    start_http_server,
)
from prometheus_client.registry import Collector

from optimizer.control import ticker

REQUESTS = Counter("tuneup_http_requests_total", "HTTP requests.", ("method", "route", "status"))
DURATION = Histogram(
    "tuneup_http_request_duration_seconds",
    "Time to answer an HTTP request.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.35, 0.5, 1, 2.5, 10),
)
# Counted once a minute by whichever worker keeps the figures.
FAILING_CHECKS = Gauge(
    "tuneup_operations_failing_checks",
    "Checks of /ready that failed at the last look.",
    multiprocess_mode="mostrecent",
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def exposition() -> bytes:
    """Return the metrics of all processes, or of this one where they share no folder."""
    return generate_latest(_registry())


def serve(port: int) -> None:
    """Serve the metrics on a port of all interfaces, without a key, from a thread of this process.

    For a worker or beat whose folder no web process reads. Raises OSError where the port is taken.
    """
    start_http_server(port, registry=_registry())


def _registry() -> CollectorRegistry:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(_Living(Path(folder)))
    return registry


class _Living(Collector):
    """Gathers the files of a folder, without the gauges of processes that are gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        _forget_the_dead(self._folder)
        gathered: Iterable[Metric] = multiprocess.MultiProcessCollector(  # type: ignore[no-untyped-call]
            None, str(self._folder)
        ).collect()
        return gathered

    def describe(self) -> Iterable[Metric]:
        """Say nothing, so that registering does not gather."""
        return ()


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
    """Count one request of a route pattern."""
    ticker.ensure()  # which tells the counts of this process
    _requests(method if method in _METHODS else "other", route, status).inc()
    _duration(route).observe(took_seconds)


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
            with suppress(FileNotFoundError):  # who asked at the same moment was first
                multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:  # another user's, and alive
            continue

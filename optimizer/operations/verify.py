"""Self-checks of the whole: that the parts work together, and that it pays."""

import secrets
import statistics
import time
from collections.abc import Callable
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from celery import current_app
from django.conf import settings

from optimizer.control import processes, registry, selectors
from optimizer.control.redis import RedisAway, call
from optimizer.control.registry import Check
from optimizer.operations import answers, overview
from optimizer.operations.baselines.load import Endpoint, drive
from optimizer.operations.live import operations

ECHO_KEY = "tuneup:{operations}:echo:"
ECHO_SECONDS = 15.0
_HTTP_SECONDS = 5.0
_LEAST_GAIN = 3.0
_SLOWEST_MS = 100.0


def _url(path: str) -> str:
    return f"http://{settings.WEB_HOST}:{settings.WEB_PORT}{path}"


def _status(path: str) -> int:
    try:
        with urlopen(_url(path), timeout=_HTTP_SECONDS) as answer:  # noqa: S310  # our own address
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except URLError as error:
        raise AssertionError(f"{_url(path)} does not answer: {error.reason}") from error


def web_is_alive_and_closed() -> str:
    """The web server lives, and tells nothing to who has no key."""
    alive, closed = _status("/health"), _status("/api/overview")
    if (alive, closed) != (200, 401):
        raise AssertionError(f"/health said {alive}, /api/overview without a key {closed}")
    return "200, and 401 without a key"


def processes_obey() -> str:
    """Web, worker and beat have reported lately, and obey the newest settings."""
    try:
        seen = processes.seen(selectors.head_revision())
    except RedisAway as error:
        raise AssertionError(f"Redis is away, so it cannot be told: {error}") from error
    roles = {one.role for one in seen if one.state == "SYNCED"}
    if lacking := sorted({"web", "worker", "beat"} - roles):
        raise AssertionError(f"none of these obeys the newest settings: {', '.join(lacking)}")
    late = [one.name for one in seen if one.state == "STALE"]
    if late:
        raise AssertionError(f"these obey older settings: {', '.join(late)}")
    return f"{len(seen)} processes"


def worker_does_a_task() -> str:
    """A task that is sent is done by a worker."""
    key = ECHO_KEY + secrets.token_hex(8)
    started = time.monotonic()
    try:
        current_app.send_task("operations.echo", args=(key,), queue="tuneup-high", expires=60)
    except Exception as error:  # whatever a broker's client raises
        raise AssertionError(f"no task can be sent: {error}") from error
    while not call(lambda r: r.exists(key)):
        if time.monotonic() - started > ECHO_SECONDS:
            raise AssertionError(f"not done within {ECHO_SECONDS:g} s")
        time.sleep(0.02)
    call(lambda r: r.delete(key))
    return f"done after {time.monotonic() - started:.2f} s"


def every_component_is_measured() -> str:
    """The metrics tell of every component."""
    text = answers.metrics_body().decode()
    lacking = [
        one.name
        for one in registry.components(platform=False)
        if f"# HELP tuneup_{one.name}_" not in text
    ]
    if lacking:
        raise AssertionError(f"no metric of {', '.join(lacking)}")
    return f"{text.count('# TYPE ')} metrics"


def caching_pays() -> str:
    """A polled answer from the cache comes faster than a fresh one."""
    if not operations.current().fast_answers or not operations.current().answer_age_seconds:
        raise AssertionError("fast answers are off")
    answers.overview_body()
    cached, fresh = _median_seconds(answers.overview_body), _median_seconds(overview.body)
    if fresh < _LEAST_GAIN * cached:
        raise AssertionError(f"fresh {fresh * 1000:.2f} ms, from the cache {cached * 1000:.2f} ms")
    return f"{fresh / cached:.0f} times as fast"


def health_is_quick() -> str:
    """Of 50 calls of /health over HTTP nineteen in twenty take less than 100 ms."""
    sample = drive(_url(""), Endpoint("/health"), key="", requests=50, concurrency=1)
    slow = sample.quantile_ms(0.95)
    if sample.errors or slow >= _SLOWEST_MS:
        raise AssertionError(f"95 % within {slow:.1f} ms, {sample.errors} errors")
    return f"95 % within {slow:.1f} ms"


def _median_seconds(function: Callable[[], object]) -> float:
    taken = []
    for _ in range(9):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


_START = "Is it started? `manage.py up`, or the units of deploy/."
CHECKS = (
    Check("integration: web is alive and closed", web_is_alive_and_closed, _START),
    Check("integration: processes obey the newest settings", processes_obey, _START),
    Check(
        "integration: a worker does a task",
        worker_does_a_task,
        "See the worker's log, and the length of its queues: `redis-cli LLEN tuneup-high`.",
    ),
    Check(
        "integration: every component is measured",
        every_component_is_measured,
        "A component's metrics.py is not imported by its apps.py.",
    ),
    Check(
        "performance: the cache pays",
        caching_pays,
        "Switch *fast answers* on, and the cache manager; is Redis on a busy host?",
    ),
    Check(
        "performance: health is quick",
        health_is_quick,
        "The host is overloaded, or too few web workers run: see WEB_WORKERS.",
    ),
)

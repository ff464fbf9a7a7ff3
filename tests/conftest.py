"""Real services for every test: one Redis for the run, and for each worker its own Redis database
number and Django database.

`TUNEUP_TEST_REDIS_URL` gives a Redis to use, `TUNEUP_TEST_REDIS_SERVER` a server to start; else
one is looked for. `REDIS_URL` is never looked at: tests empty their databases.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from optimizer.operations import embedded_redis, guard
from tests.mongo import mongo_url  # noqa: F401  (a fixture for every test)

SETTINGS = "config.settings.test"
SYSTEM_TESTS = ("tests/end_to_end/", "tests/operations/runbook/")


def pytest_configure(config: pytest.Config) -> None:
    """Give the services by environment before Django's settings are read."""
    if os.environ.get("DJANGO_SETTINGS_MODULE", SETTINGS) != SETTINGS:
        raise pytest.UsageError(f"unset DJANGO_SETTINGS_MODULE: the tests run with {SETTINGS}")
    if hasattr(config, "workerinput"):  # a worker: it has its environment from the controller
        return
    # A shell starts what it puts into the background deaf to SIGINT, and children inherit that;
    # programs that are stopped by it would be waited for in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="tuneup-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(folder))  # after the server in it has stopped
    (folder / "static").mkdir()  # whitenoise warns where there is none
    os.environ["TUNEUP_VAR_DIR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    os.environ["REDIS_URL"] = _database(
        os.environ.get("TUNEUP_TEST_REDIS_URL") or _start_redis(config, folder), 0
    )
    from django.conf import settings

    assert settings.SECRET_KEY  # pytest-django sets Django up once the settings are loaded


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Take one worker more than there are cores: tests of real processes wait for much of a run."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Give each worker a database number of its own; its process starts with it."""
    for number, spec in enumerate(specs):
        spec.env["REDIS_URL"] = _database(os.environ["REDIS_URL"], number)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give one worker all tests of a running system, which is dear to start, and first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return next((one for one in SYSTEM_TESTS if nodeid.startswith(one)), nodeid)

    return Scheduling(config, log)


def _database(url: str, number: int) -> str:
    return urlsplit(url)._replace(path=f"/{number}").geturl()


def _start_redis(config: pytest.Config, folder: Path) -> str:
    chosen = os.environ.get("TUNEUP_TEST_REDIS_SERVER")
    server = Path(chosen) if chosen else embedded_redis.find_server()
    redis = embedded_redis.configure(folder / "redis", server)
    with (folder / "redis" / "log").open("wb") as log:
        process = guard.spawn(redis.command, output=log)

    def stop() -> None:
        process.terminate()
        process.wait()

    config.add_cleanup(stop)
    deadline = time.monotonic() + 20
    while not embedded_redis.answers(redis.url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise pytest.UsageError((folder / "redis" / "log").read_text())
        time.sleep(0.02)
    return redis.url


def pytest_report_header() -> list[str]:
    return [f"variant: {os.environ.get('TUNEUP_TEST_VARIANT', 'as the environment gives')}"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Make the databases, and let tests that commit empty them in little time."""
    from tests.emptying import fast_flush  # which needs the settings

    with ExitStack() as stack:
        with django_db_blocker.unblock():
            stack.enter_context(fast_flush(["default"]))
        yield


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A client of this worker's own Redis database, empty before and after."""
    with Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Let each test begin as a process that has read no settings and seen no outage."""
    from caching.services import engines
    from optimizer.balancer import balancer
    from optimizer.balancer.services import places, reporter
    from optimizer.control import live
    from optimizer.control import redis as access
    from optimizer.queries.services import capture, current
    from ratelimit import limiter

    def forget() -> None:
        if (left := current.unit.get()) is not None:  # of a streamed response nobody has closed
            capture.end(left, current.unit.set(None))
            current.unit.set(None)
        engines.stop_all()
        live.forget_all()
        access.breaker.reset()
        limiter.decisions.forget()
        balancer.reset()
        places.forget()
        for series in (reporter.series, reporter.latencies):
            series._unsent.clear()  # of a test without Redis
        engines.stop_all()

    forget()
    yield
    forget()


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """Point this process at a port where nobody listens."""
    from optimizer.control import redis as access

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    access.forget()
    yield
    access.forget()

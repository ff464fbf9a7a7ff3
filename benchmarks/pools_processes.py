"""One process of the benchmark of pools: other processes' pools; prints what it found as JSON.

With `follow` it is one of the processes that obey a live edit.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from benchmarks.place import own_place
from optimizer.operations import private_postgres

PROCESSES, EDITS, TASKS, AFTER_KILL = 4, 5, 200, 60
ANSWERS = "benchmark:answers"
CELERYS_OWN = """
import celery.app.base, sys
from celery import Celery
made = Celery.__init__
def plain(self, *arguments, **named):
    named.pop("fixups", None)
    made(self, *arguments, **named)
Celery.__init__ = plain
from celery.__main__ import main
sys.argv = ["celery", *sys.argv[1:]]
main()
"""


def main() -> None:
    """Measure and print."""
    if sys.argv[1:] == ["follow"]:
        _follow()
        return
    binaries = private_postgres.find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: apt-get install postgresql")
    with private_postgres.private_postgres(binaries) as url:
        place = own_place(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="tests.batches.worker_settings")
        with place:
            found = {
                **_edits(),
                **_celery(url, "celery", ["-m", "celery"]),
                **_celery(url, "celerys_own", ["-c", CELERYS_OWN]),
            }
    print(json.dumps(found))


def _follow() -> None:
    import django

    django.setup()
    from django.db import connection

    from optimizer.control import watcher
    from optimizer.pools.live import pools

    watcher.start("web")
    connection.ensure_connection()
    pools.current()
    last = 0
    while True:
        size = connection.pool.max_size  # type: ignore[attr-defined]
        if size != last:
            sys.stdout.write(f"{size}\n")
            sys.stdout.flush()
            last = size
        time.sleep(0.002)


def _edits() -> dict[str, float]:
    """Return the seconds from a save until the pools of all four processes obey: median, most."""
    from optimizer.pools.models import PooledConnection
    from optimizer.pools.services import seeds

    seeds.seed()
    command = [sys.executable, "-m", "benchmarks.pools_processes", "follow"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    try:
        for one in started:
            _until(one, 8)
        took = []
        for size in range(10, 10 + EDITS):
            time.sleep(0.5)
            row = PooledConnection.objects.get(alias="default")
            row.max_size = size
            at = time.perf_counter()
            row.save()
            for one in started:
                _until(one, size)
            took.append(time.perf_counter() - at)
    finally:
        for one in started:
            one.kill()
            one.wait()
    return {"edit_ms": statistics.median(took) * 1000, "edit_most_ms": max(took) * 1000}


def _until(process: "subprocess.Popen[bytes]", size: int) -> None:
    assert process.stdout is not None
    while int(process.stdout.readline() or -1) != size:
        if process.poll() is not None:
            raise SystemExit("a process that follows has ended")


def _celery(url: str, name: str, program: list[str]) -> dict[str, float]:
    """Return connections that 200 tasks opened, tasks a second, and tasks lost after a kill."""
    from optimizer.control.redis import call
    from tests.library.tasks import ask_the_database

    def run(count: int, seconds: float) -> int:
        call(lambda r: r.delete(ANSWERS))
        for _ in range(count):
            ask_the_database.apply_async(args=(ANSWERS,))
        until = time.monotonic() + seconds
        while (done := call(lambda r: r.llen(ANSWERS))) < count and time.monotonic() < until:
            time.sleep(0.005)
        return int(done)

    with ExitStack() as stack:
        beside = stack.enter_context(psycopg.connect(url, autocommit=True))
        stack.enter_context(_worker(program))
        run(20, 60)
        time.sleep(3)  # its watchers have begun
        before = _sessions(beside)
        started = time.perf_counter()
        run(TASKS, 120)
        rate = TASKS / (time.perf_counter() - started)
        opened = _sessions(beside) - before
        beside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        lost = AFTER_KILL - run(AFTER_KILL, 15)
    return {f"{name}_opened": opened, f"{name}_rate": rate, f"{name}_lost": lost}


def _sessions(conn: "psycopg.Connection[Any]") -> int:
    """Return how many sessions the server has had, ended ones included."""
    conn.execute("SELECT pg_stat_clear_snapshot()")
    found = conn.execute(
        "SELECT sum(sessions) FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    return int(found[0]) if found else 0


@contextmanager
def _worker(program: list[str]) -> Iterator[None]:
    command = [sys.executable, *program, "--app", "config", "worker", "--concurrency", "2"]
    command += ["--without-mingle", "--without-gossip", "--loglevel", "ERROR"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ)
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    main()

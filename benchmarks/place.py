"""A folder, a database and a Redis server for one benchmark's run alone."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from optimizer.operations import embedded_redis, guard


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark runs. `pid` is the Redis server's."""

    folder: Path
    url: str
    pid: int


@contextmanager
def own_place(**environment: str) -> Iterator[Place]:
    """Start Redis, without persistence and on the first core, and set Django up over it.

    The database is an SQLite file there, unless `environment` says otherwise.
    """
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"TUNEUP_VAR_DIR": name, "DJANGO_SETTINGS_MODULE": "config.settings.local"}
        os.environ.pop("DATABASE_URL", None)
        os.environ |= environment
        folder = Path(name)
        server = embedded_redis.configure(folder / "redis", embedded_redis.find_server())
        command = [*server.command, "--appendonly", "no"]
        process = guard.spawn(command, output=subprocess.DEVNULL)
        os.environ["REDIS_URL"] = server.url
        try:
            while not embedded_redis.answers(server.url):
                time.sleep(0.05)
            with Redis.from_url(server.url) as client:
                pid = int(client.info("server")["process_id"])
            if len(os.sched_getaffinity(0)) > 1:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(thread), {0})
            _migrate()
            yield Place(folder, server.url, pid)
        finally:
            guard.sweep(process)


def told_by(module: str, *arguments: str, timeout_seconds: float) -> Any:
    """Run a module of the benchmarks in a process of its own; return its last line, read as JSON.

    Raises SystemExit, with what the process said of its errors, where it fails or takes too long.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = guard.spawn(command, output=output, errors=errors)
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{module} was not done after {timeout_seconds:.0f} s") from None
        finally:
            guard.sweep(process)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{module} failed:\n{errors.read().decode(errors='replace')}")
        output.seek(0)
        return json.loads(output.read().decode().splitlines()[-1])


def leave_redis_its_core() -> None:
    """Let this process, and those that it starts, run on the other cores."""
    if (cores := len(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, set(range(1, cores)))


def _migrate() -> None:
    migrate = [sys.executable, "manage.py", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(migrate, check=True, env=os.environ)
    import django

    django.setup()

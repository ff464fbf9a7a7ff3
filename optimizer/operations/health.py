"""Is it alive, is it ready: checks with a time limit each."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from optimizer.control import live, processes
from optimizer.control.redis import RedisAway, call
from optimizer.operations.live import operations

UP, DEGRADED, DOWN = "up", "degraded", "down"


class CheckFailed(Exception):
    """What a check found wrong, in words for an admin."""


@dataclass(slots=True)
class HealthCheck:
    """One part that readiness depends on; `run` raises CheckFailed."""

    name: str
    run: Callable[[], None]
    critical: bool = False
    _busy: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def result(self, timeout_seconds: float) -> "Result":
        """Run with a time limit that holds even where a driver would wait for ever."""
        # One run at a time: a check that hangs must not gather a thread with every probe. Probes
        # that come together wait for each other.
        if not self._busy.acquire(timeout=timeout_seconds):
            return Result(self.name, self.critical, "the check before has not come back", 0.0)
        errors: list[str] = []

        def work() -> None:
            try:
                self.run()
            except CheckFailed as error:
                errors.append(str(error))
            except (DatabaseError, RedisAway) as error:
                errors.append(type(error).__name__)
            finally:
                connections.close_all()
                self._busy.release()

        started = time.perf_counter()
        thread = threading.Thread(target=work, name=f"check-{self.name}", daemon=True)
        thread.start()
        thread.join(timeout_seconds)
        if thread.is_alive():
            errors.append(f"no answer within {timeout_seconds:g} s")
        took = time.perf_counter() - started
        return Result(self.name, self.critical, errors[0] if errors else "", took)


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check; `error` is "" where all is well."""

    name: str
    critical: bool
    error: str
    took_seconds: float


def database() -> None:
    """Ask the default database for a row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def migrations() -> None:
    """Look for migrations that were not applied."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        raise CheckFailed(f"{len(plan)} migration(s) are not applied: run manage.py migrate")


def redis() -> None:
    """Ping Redis."""
    call(lambda r: r.ping())


def _role(role: str) -> Callable[[], None]:
    def run() -> None:
        try:
            seen = processes.seen(0)
        except RedisAway as error:
            raise CheckFailed("Redis is away, so it cannot be told") from error
        if not any(one.role == role and one.state != "NOT SEEN" for one in seen):
            raise CheckFailed(f"no {role} has reported lately")

    return run


def settings_follow() -> None:
    """Look whether this process could read its settings."""
    wrong = [f"{one.component}: {one.error}" for one in live.all_live() if one.error]
    if wrong:
        raise CheckFailed("; ".join(wrong))


def mongodb() -> None:
    """Ping MongoDB."""
    try:
        connections["mongo"].database.client.admin.command("ping")  # type: ignore[attr-defined]
    except Exception as error:  # the driver has a tree of its own; each means it is away
        raise CheckFailed(type(error).__name__) from error


CHECKS = (
    HealthCheck("database", database, critical=True),
    HealthCheck("migrations", migrations),
    HealthCheck("redis", redis),
    HealthCheck("worker", _role("worker")),
    HealthCheck("beat", _role("beat")),
    HealthCheck("settings", settings_follow),
)
MONGODB_CHECK = HealthCheck("mongodb", mongodb)


def readiness() -> tuple[str, list[Result]]:
    """Run every check; return up, degraded (a part that is not critical is away) or down."""
    checks = (*CHECKS, MONGODB_CHECK) if "mongo" in settings.DATABASES else CHECKS
    timeout = operations.current().check_timeout_seconds
    results = [check.result(timeout) for check in checks]
    return verdict(results), results


def verdict(results: Iterable[Result]) -> str:
    """Return the worst of the results."""
    failed = [one for one in results if one.error]
    if any(one.critical for one in failed):
        return DOWN
    return DEGRADED if failed else UP

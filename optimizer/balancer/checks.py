"""System checks of what the load balancer counts on."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

_READS = "optimizer.balancer.middleware.balance_reads"


@register("balancer")
def beat_checks_backends(**_: Any) -> list[CheckMessage]:
    """Check that beat runs the active health checks."""
    tasks = {one.get("task") for one in settings.CELERY_BEAT_SCHEDULE.values()}
    if "balancer.check" in tasks:
        return []
    return [
        Warning(
            "CELERY_BEAT_SCHEDULE has no task balancer.check: backends are not checked actively.",
            id="balancer.W001",
        )
    ]


@register("balancer")
def requests_say_who_reads(**_: Any) -> list[CheckMessage]:
    """Check that requests are balanced where there are replicas."""
    if not settings.DATABASE_REPLICAS or _READS in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            f"MIDDLEWARE has no {_READS}: no request reads from the database's replicas.",
            id="balancer.W002",
        )
    ]


@register(Tags.database)
def replicas_are_standbys(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Check that each replica is a standby of the primary; `check --database default` runs it."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    found: list[CheckMessage] = []
    for alias in settings.DATABASE_REPLICAS:
        try:
            with (
                closing(connections.create_connection(alias)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("SELECT pg_is_in_recovery()")
                if cursor.fetchone() == (True,):
                    continue
                says = "is no standby (pg_is_in_recovery() is false): it takes no reads."
                found.append(Warning(f"The database {alias} {says}", id="balancer.W003"))
        except (DatabaseError, InterfaceError) as error:
            says = str(error).partition("\n")[0]
            found.append(
                Warning(f"The replica {alias} does not answer: {says}", id="balancer.W004")
            )
    return found

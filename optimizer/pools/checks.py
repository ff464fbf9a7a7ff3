"""System checks of how connections are set up."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from optimizer.pools.live import given_limits
from optimizer.pools.models import Kind, PooledConnection
from optimizer.pools.models.pool import kind_of_database
from optimizer.pools.services.servers import server_of


@register("pools")
def connection_settings(**_: Any) -> list[CheckMessage]:
    """Check what can be told without asking a server."""
    found: list[CheckMessage] = []
    for alias, one in settings.DATABASES.items():
        pool = one.get("OPTIONS", {}).get("pool")
        if pool and one.get("CONN_MAX_AGE", 0) != 0:
            found.append(
                Error(
                    f"The database {alias!r} has a pool and a CONN_MAX_AGE of "
                    f"{one['CONN_MAX_AGE']}.",
                    hint="With a pool it must be 0: the pool keeps the connections.",
                    id="pools.E001",
                )
            )
        if pool and not one["ENGINE"].startswith("optimizer.pools."):
            found.append(
                Warning(
                    f"The pool of the database {alias!r} is not managed.",
                    hint='Set its ENGINE to "optimizer.pools.backends.postgresql".',
                    id="pools.W001",
                )
            )
    return found


@register(Tags.database)
def server_limits(databases: Any = None, **_: Any) -> list[CheckMessage]:
    """Check pools against what their servers take; only where the databases may be asked."""
    found: list[CheckMessage] = []
    for alias in databases or ():
        if kind_of_database(alias) != Kind.POSTGRESQL:
            continue
        server = server_of(alias, Kind.POSTGRESQL)
        size = _size_of(alias)
        if server and size > server.room:
            found.append(
                Warning(
                    f"The pool {alias!r} may have {size} connections in each process; its server "
                    f"takes {server.room} in all.",
                    hint="Lower max_size of the pool, or raise the server's max_connections.",
                    id="pools.W002",
                )
            )
    return found


def _size_of(alias: str) -> int:
    try:
        row = PooledConnection.objects.filter(alias=alias).first()
    except DatabaseError:  # before the first migration
        row = None
    return int(row.max_size) if row else given_limits(alias, Kind.POSTGRESQL).max_size

"""The test's PostgreSQL, seen from outside of every pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from optimizer.pools.engine.base import pools
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.postgresql import ManagedConnectionPool

needs_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="it is about PostgreSQL's connections"
)


def options() -> dict[str, Any]:
    """Return how to connect to the test's database, without Django's additions."""
    at = connection.settings_dict
    return {
        "dbname": at["NAME"], "user": at["USER"], "password": at["PASSWORD"],
        "host": at["HOST"], "port": at["PORT"], "autocommit": True,
    }  # fmt: skip


class Server:
    """A connection beside the pools; it sees those with one application name."""

    def __init__(self, conn: "psycopg.Connection[Any]", name: str) -> None:
        self._conn, self._name = conn, name

    def count(self) -> int:
        """Return how many connections the server has of this name."""
        found = self._conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [self._name]
        ).fetchone()
        return int(found[0]) if found else 0

    def kill(self) -> int:
        """End them all; return how many there were."""
        found = self._conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [self._name],
        )
        return len(found.fetchall())


@contextmanager
def server(name: str) -> Iterator[Server]:
    """Look at the server's connections of an application name."""
    with psycopg.connect(**options()) as conn:
        yield Server(conn, name)


@contextmanager
def pool_of(name: str, **limits: Any) -> Iterator[ManagedConnectionPool]:
    """Open a managed pool whose connections have an application name."""
    before, pools.limits_of = pools.limits_of, lambda alias, kind: Limits(**limits)
    try:
        pool = ManagedConnectionPool(name, kwargs={**options(), "application_name": name})
    finally:
        pools.limits_of = before
    with pool:
        yield pool

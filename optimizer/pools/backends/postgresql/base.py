"""Django's PostgreSQL backend with the managed pool in the place of psycopg_pool's.

A subclass, and not a pool put into Django's dictionary, because Django takes it out again
(`close_pool`) and would make one of its own.
"""

import threading
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from optimizer.pools.engine.postgresql import ManagedConnectionPool

_lock = threading.Lock()
_inherited: list[Any] = []  # the parent's, after a fork: kept, because their end would reach it


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection out of the managed pool, where `OPTIONS["pool"]` is set."""

    _connection_pools: ClassVar[dict[str, ManagedConnectionPool]] = {}
    _configure_connection: Any

    @property
    def pool(self) -> ManagedConnectionPool | None:
        """The pool of this alias in this process; it is opened with the first connection."""
        found = self._connection_pools.get(self.alias)
        if found is not None or self.alias == NO_DB_ALIAS:
            return found
        if not self.settings_dict["OPTIONS"].get("pool"):
            return None
        if self.settings_dict.get("CONN_MAX_AGE", 0) != 0:
            raise ImproperlyConfigured(
                f"The database {self.alias!r} has a pool, so its CONN_MAX_AGE must be 0."
            )
        with _lock:
            found = self._connection_pools.get(self.alias)
            if found is None:
                found = ManagedConnectionPool(
                    self.alias, kwargs=self._connect_options, configure=self._configure_connection
                )
                self._connection_pools[self.alias] = found
        return found

    def close_pool(self) -> None:
        """Close this process's pool of the alias; the next connection opens another."""
        if (pool := self._connection_pools.pop(self.alias, None)) is not None:
            pool.close()

    def _connect_options(self) -> dict[str, Any]:
        # Django sets autocommit as it is asked for, after a connection is handed out.
        return {**self.get_connection_params(), "autocommit": True}


def close_pools() -> None:
    """Close this process's pools, so that their threads end with it."""
    while DatabaseWrapper._connection_pools:
        _, pool = DatabaseWrapper._connection_pools.popitem()
        pool.close(timeout=1.0)


def forget_after_fork() -> None:
    """Leave the parent's connections alone: this process has none yet."""
    global _lock
    _lock = threading.Lock()
    for pool in DatabaseWrapper._connection_pools.values():
        pool._closed = True  # else its end would wait for threads that are not here
        _inherited.append(pool)
    DatabaseWrapper._connection_pools.clear()
    for wrapper in connections.all(initialized_only=True):
        if isinstance(wrapper, DatabaseWrapper) and wrapper.connection is not None:
            _inherited.append(wrapper.connection)
            wrapper.connection = None

"""MongoDB's Django backend with clients whose limits change: each use takes the one in force."""

import threading
from typing import Any

from django_mongodb_backend import base

from optimizer.pools.engine.mongodb import ManagedMongo

_lock = threading.Lock()
_managed: dict[str, ManagedMongo] = {}


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc]  # it has no types
    """A client out of `ManagedMongo`."""

    connection: Any
    run_on_commit: list[Any]
    _database: Any = None

    @property
    def database(self) -> Any:
        """The database of the client in force; within a transaction, of its own client."""
        is_free = self.session is None
        if self.connection is None or (
            is_free and not managed(self.alias).is_current(self.connection)
        ):
            self.connection = None
            self.connect()
        return self._database

    @database.setter
    def database(self, database: Any) -> None:
        self._database = database

    @database.deleter
    def database(self) -> None:
        self._database = None

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        return managed(self.alias).client(**conn_params, driver=self._driver_info())

    def close_pool(self) -> None:
        """Close this process's clients of the alias."""
        self.run_on_commit = []
        if self.session:
            self._end_session()
        self.connection = self._database = None
        managed(self.alias).close()


def managed(alias: str) -> ManagedMongo:
    """Return the clients of an alias in this process."""
    with _lock:
        found = _managed.get(alias)
        if found is None:
            found = _managed[alias] = ManagedMongo(alias)
    return found


def forget_after_fork() -> None:
    """Leave the parent's clients alone."""
    global _lock
    _lock = threading.Lock()
    _managed.clear()

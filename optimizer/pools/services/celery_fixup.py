"""Keep database connections from one Celery task to the next.

Celery's own fix-up closes the pool of a prefork worker around every task, so that each task opens
its connections anew. Here a task's end is what the end of a request is: a connection goes back to
its pool, or is closed if it is of no use any more. After a fork nothing is shared
(`services.forks`).
"""

from typing import Any

from celery import Celery
from celery.fixups import django as celerys
from django.db import DatabaseError, InterfaceError, connections

_WorkerFixup: Any = celerys.DjangoWorkerFixup  # type: ignore[attr-defined]  # not in its stubs


class PoolingWorkerFixup(_WorkerFixup):  # type: ignore[misc]
    """What is done to connections around a task."""

    def _close_database(self) -> None:
        for connection in connections.all(initialized_only=True):
            try:
                connection.close_if_unusable_or_obsolete()
            except InterfaceError:
                continue  # it is closed already
            except DatabaseError as error:
                if "closed" not in str(error) and "not connected" not in str(error):
                    raise


class PoolingFixup(celerys.DjangoFixup):
    """Celery's fix-up with the worker's part exchanged."""

    _worker_fixup: Any

    @property
    def worker_fixup(self) -> Any:
        if self._worker_fixup is None:
            self._worker_fixup = PoolingWorkerFixup(self.app)
        return self._worker_fixup

    @worker_fixup.setter
    def worker_fixup(self, value: Any) -> None:
        self._worker_fixup = value


def fixup(app: Celery) -> PoolingFixup:
    """Install the fix-up; named in `Celery(fixups=…)`."""
    made = PoolingFixup(app)
    made.install()
    return made

"""Live settings: each component's newest good snapshot, read without a lock or a query."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db import DatabaseError
from django.utils import timezone

T = TypeVar("T")
logger = logging.getLogger(__name__)


class LiveSettings(Generic[T]):
    """The snapshot of one component in this process.

    `load` reads the rows and returns a frozen struct; `default` serves until the first load works.
    """

    __slots__ = ("_snapshot", "component", "default", "error", "load", "loaded_at")

    def __init__(self, component: str, *, load: Callable[[], T], default: T) -> None:
        if component in _all:
            raise ValueError(f"{component!r} has live settings already")
        self.component, self.load, self.default = component, load, default
        self._snapshot: T | None = None
        self.error = ""
        self.loaded_at: datetime | None = None
        _all[component] = self

    def current(self) -> T:
        """Return the newest good snapshot."""
        snapshot = self._snapshot
        return snapshot if snapshot is not None else self._first()

    def reload(self) -> bool:
        """Read the rows anew; keep the last good snapshot, and say why, when that fails."""
        try:
            snapshot = self.load()
        except Exception as error:  # a loader's bug must not take the process's settings away
            self.error = f"{type(error).__name__}: {error}"
            if not isinstance(error, DatabaseError):
                logger.exception("Live settings of %s cannot be read", self.component)
            else:
                logger.warning("Live settings of %s cannot be read: %s", self.component, error)
            return False
        self._snapshot, self.error, self.loaded_at = snapshot, "", timezone.now()
        return True

    def forget(self) -> None:
        """Drop the snapshot, so that the next read loads it."""
        self._snapshot = None

    def _first(self) -> T:
        from optimizer.control import watcher  # it follows what is loaded here

        # In a thread of its own where an event loop runs: Django refuses queries in it.
        if _in_event_loop():
            thread = threading.Thread(target=try_to_catch_up)
            thread.start()
            thread.join()
        else:
            try_to_catch_up()
        watcher.ensure()
        if self._snapshot is None:
            self._snapshot = self.default
        return self._snapshot


class _State:
    """The revision this process has reached."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.revision = -1


_all: dict[str, LiveSettings[Any]] = {}
_state = _State()


def all_live() -> tuple[LiveSettings[Any], ...]:
    """Return every component's live settings."""
    return tuple(_all.values())


def reached_revision() -> int:
    """Return the revision this process obeys, -1 before the first load."""
    return _state.revision


def catch_up() -> int:
    """Reload what changed since this process's revision; return the revision reached."""
    with _state.lock:
        head = _head()
        while True:
            known = _state.revision
            pending = [one for one in all_live() if one.error or one._snapshot is None]
            if head == known and not pending:
                return head
            changed = _changed_between(known, head)
            results = [
                one.reload() for one in all_live() if one in pending or one.component in changed
            ]
            if not all(results):
                return known
            _state.revision = head
            # Rows read while another change committed may be of two revisions: look again.
            head = _head()


def _head() -> int:
    from optimizer.control.models import Head  # needs the app registry

    return Head.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def _changed_between(known: int, head: int) -> set[str]:
    """Return the components to read; all of them at first, and when a backup was restored."""
    from optimizer.control.models import Revision

    if known < 0 or head < known:
        return set(_all)
    newer = Revision.objects.filter(number__gt=known, number__lte=head)
    return set(newer.order_by().values_list("component", flat=True).distinct())


def try_to_catch_up() -> bool:
    """Catch up; False when the database cannot be asked, so that the last good snapshots stay."""
    try:
        catch_up()
    except DatabaseError as error:
        logger.warning("The revision of the settings cannot be read: %s", error)
        return False
    return True


def forget_all() -> None:
    """Drop every snapshot, as in a process that has just started."""
    _state.revision = -1
    for live in all_live():
        live.forget()
        live.error = ""


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _after_fork() -> None:
    # The parent's watcher may have held the lock; the snapshots themselves are still good.
    _state.lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)

"""Live settings: each component's newest good snapshot, read without a lock or a query."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, connection
from django.utils import timezone

from optimizer.control import metrics

UNKNOWN = -1  # no revision has been reached yet
T = TypeVar("T")
logger = logging.getLogger(__name__)


class LiveSettings(Generic[T]):
    """The snapshot of one component in this process.

    `load` reads the rows and returns a frozen struct; `default` serves until the first load works.
    """

    __slots__ = ("_followers", "_snapshot", "component", "default", "error", "load", "loaded_at")

    def __init__(self, component: str, *, load: Callable[[], T], default: T) -> None:
        if component in _all:
            raise ValueError(f"{component!r} has live settings already")
        self.component, self.load, self.default = component, load, default
        self._snapshot: T | None = None
        self._followers: list[Callable[[T], None]] = []
        self.error = ""
        self.loaded_at: datetime | None = None
        _all[component] = self

    def current(self) -> T:
        """Return the newest good snapshot."""
        snapshot = self._snapshot
        return snapshot if snapshot is not None else self._first()

    def follow(self, obey: Callable[[T], None]) -> None:
        """Have `obey` called with each new snapshot, in the thread that has read it.

        For what holds limits of its own, such as a pool; it must not block.
        """
        self._followers.append(obey)

    @property
    def is_loaded(self) -> bool:
        """Whether the rows have been read."""
        return self._snapshot is not None

    def peek(self) -> T:
        """Return the newest good snapshot, or the default: never asks the database."""
        snapshot = self._snapshot
        return snapshot if snapshot is not None else self.default

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
        for obey in self._followers:
            try:
                obey(snapshot)
            except Exception:  # the settings hold all the same
                logger.exception("New settings of %s are not obeyed everywhere", self.component)
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
        self.revision = UNKNOWN


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
        reached, head = _state.revision, _head()
        pending = [one for one in all_live() if one.error or one._snapshot is None]
        while head != reached or pending:
            changed = _changed_between(reached, head)
            results = [
                one.reload() for one in all_live() if one in pending or one.component in changed
            ]
            if not all(results):
                break
            # Rows read while another change committed may be of two revisions: look again.
            reached, pending, head = head, [], _head()
        # What an open transaction shows may yet be rolled back, and its number given out again.
        _state.revision = UNKNOWN if connection.in_atomic_block else reached
        metrics.REVISION.set(_state.revision)
        metrics.FAILING.set(sum(bool(one.error) for one in all_live()))
        return reached


def _head() -> int:
    from optimizer.control.models import Head  # needs the app registry

    return Head.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def _changed_between(known: int, head: int) -> set[str]:
    """Return the components to read; all of them at first, and when a backup was restored."""
    from optimizer.control.models import Revision

    if known == UNKNOWN or head < known:
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
    _state.revision = UNKNOWN
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

"""One thread a process that keeps the live settings at the newest revision.

It reloads on a message, on reconnecting to Redis, and when its slow poll of the database finds it
behind; so a change governs within a second with Redis and within the poll interval without.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connections

from optimizer.control import keys, live, processes, revisions
from optimizer.control.redis import RedisAway, new_client
from optimizer.control.snapshot import control

HEARTBEAT_SECONDS = 2.0
_RECONNECT_SECONDS = 0.5
logger = logging.getLogger(__name__)


class Watcher(threading.Thread):
    """Follow the revisions until the process ends."""

    def __init__(self, role: str) -> None:
        super().__init__(name="tuneup-watcher", daemon=True)
        self.role = role
        self._listener: Any = None
        self._poll_at = self._report_at = self._connect_at = 0.0
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception:  # the thread outlives any one failure; the next turn tries again
                logger.exception("The settings watcher failed in this turn")
                self._stopping.wait(1.0)
        self._disconnect()

    def stop(self) -> None:
        """End the thread after its present turn."""
        self._stopping.set()

    def _turn(self) -> None:
        told = self._wait()
        now = time.monotonic()
        if now >= self._poll_at:
            with _database():
                self._poll()
                self._poll_at = now + control.current().poll_interval_seconds
        elif told:
            with _database():
                live.try_to_catch_up()
        if told or now >= self._report_at:
            reported = self._report()
            # A report that was missed is soon tried again: an admin may be waiting to see it.
            self._report_at = now + (HEARTBEAT_SECONDS if reported else _RECONNECT_SECONDS)

    def _poll(self) -> None:
        if live.try_to_catch_up():
            try:
                revisions.revert_due()
                keys.write_last_used()
            except DatabaseError as error:
                logger.warning("Due reverts cannot be done: %s", error)

    def _report(self) -> bool:
        errors = "; ".join(f"{one.component}: {one.error}" for one in live.all_live() if one.error)
        try:
            processes.report(
                self.role,
                live.reached_revision(),
                error=errors,
                expiry_seconds=control.current().process_expiry_seconds,
            )
        except RedisAway:
            return False
        return True

    def _wait(self) -> bool:
        """Wait for a message or the next duty; True when there may be a new revision."""
        now = time.monotonic()
        until = min(self._poll_at, self._report_at)
        if self._listener is None:
            if now < self._connect_at:
                self._stopping.wait(max(0.0, min(until, self._connect_at) - now))
                return False
            return self._connect()
        try:
            message = self._listener.get_message(timeout=max(0.0, min(until - now, 1.0)))
        except (redis.RedisError, OSError):
            self._disconnect()
            return False
        return bool(message) and message["type"] == "message"

    def _connect(self) -> bool:
        self._connect_at = time.monotonic() + _RECONNECT_SECONDS
        listener: Any = new_client(health_check_interval=5).pubsub()  # type: ignore[no-untyped-call]
        try:
            listener.subscribe(processes.CHANNEL)
            listener.get_message(timeout=settings.REDIS_TIMEOUT_SECONDS)
        except (redis.RedisError, OSError):
            listener.close()
            return False
        self._listener = listener
        return True  # messages may have been missed while away

    def _disconnect(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


# A child that is forked while its parent has an SQLite database open inherits the mapping of the
# write-ahead index, and reads the past for ever once that file is replaced. So no fork happens
# while this thread has a connection, and the thread that forks closes its own first.
_no_fork = threading.Lock()
_FORK_WAITS_SECONDS = 5.0


@contextmanager
def _database() -> Iterator[None]:
    with _no_fork:
        try:
            yield
        finally:
            connections.close_all()


_watcher: Watcher | None = None
_role = "command"
_lock = threading.Lock()


def start(role: str) -> None:
    """Start this process's watcher once; `role` is web, worker, beat or command."""
    global _role
    _role = role
    # Children of multiprocessing, as granian's workers are, end without atexit.
    Finalize(None, stop, exitpriority=1)
    ensure()


def ensure() -> None:
    """Start the watcher if this process has none, as after a fork."""
    global _watcher
    if not settings.WATCH_LIVE_SETTINGS:
        return
    with _lock:
        if _watcher is not None and _watcher.is_alive():
            return
        _watcher = Watcher(_role)
        _watcher.start()


def stop() -> None:
    """Stop this process's watcher and take the process off the list."""
    global _watcher
    with _lock:
        watcher, _watcher = _watcher, None
    if watcher is not None:
        watcher.stop()
        watcher.join(timeout=3)
        processes.leave()


def _before_fork() -> None:
    # A database that hangs must not keep the parent from forking for ever.
    _forking.got_it = _no_fork.acquire(timeout=_FORK_WAITS_SECONDS)
    for connection in connections.all(initialized_only=True):
        if connection.vendor == "sqlite" and not connection.in_atomic_block:
            connection.close()


def _after_fork_in_parent() -> None:
    if _forking.got_it:
        _no_fork.release()


def _after_fork_in_child() -> None:
    global _watcher, _lock, _no_fork
    _watcher, _lock, _no_fork = None, threading.Lock(), threading.Lock()


_forking = threading.local()
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
atexit.register(stop)


def status() -> dict[str, Any]:
    """Return what this process knows of itself."""
    return {
        "role": _role,
        "pid": os.getpid(),
        "revision": live.reached_revision(),
        "watching": _watcher is not None and _watcher.is_alive(),
        "errors": {one.component: one.error for one in live.all_live() if one.error},
    }

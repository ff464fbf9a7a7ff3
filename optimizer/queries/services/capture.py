"""Hear of every query of every connection, and tell the unit that watches, if one does.

One execute wrapper on each connection, switched by a ContextVar; with nothing watched it costs a
look at a number. Nothing that the program does is changed: errors here are counted and swallowed.
"""

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Token
from itertools import count
from time import perf_counter
from types import FrameType
from typing import Any

from asgiref.sync import SyncToAsync
from django.core.signals import request_finished, request_started
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from optimizer.queries import metrics
from optimizer.queries.services import current
from optimizer.queries.services.frames import Key, Stack, caller_of, place_of
from optimizer.queries.services.units import Awaiting, Unit

logger = logging.getLogger(__name__)
_unit, _awaiting = current.unit, current.awaiting
_active = 0
_MAX_STACKS = 4096
_LOGGED_ERRORS = 5
_requests = count(1)
_lock = threading.Lock()
errors = 0  # of the optimizer itself


def wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    """Run a query as Django would, and note it where somebody watches."""
    if not _active:
        return execute(sql, params, many, context)
    unit = _unit.get()
    if unit is None:
        unit = getattr(threading.current_thread(), "_tuneup_unit", None)
    if unit is None or unit.closed:
        return execute(sql, params, many, context)
    started = perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        ended = perf_counter()
        if ended - started >= unit.least_seconds:
            try:
                if not many:
                    unit.note(
                        sql if type(sql) is str else _text_of(sql, context),
                        params,
                        context["connection"].alias,
                        ended - started,
                        _awaiting.get(),
                        max(0, context["cursor"].rowcount),
                    )
            except Exception:
                count_error()
            unit.own_seconds += perf_counter() - ended


def _text_of(sql: Any, context: Any) -> str:
    """Return the text of what is no text: a statement that psycopg composes."""
    as_string = getattr(sql, "as_string", None)
    return str(as_string(context["connection"].connection) if as_string is not None else sql)


def count_error() -> None:
    """Count an error of the optimizer itself, from its handler; the first few are logged."""
    global errors
    errors += 1
    if errors <= _LOGGED_ERRORS:  # a bug would come with each query
        logger.warning("The query optimizer failed; the program goes on", exc_info=True)
    metrics.ERRORS.inc()


def install() -> None:
    """Put the wrapper on every connection, those of other threads and of later too."""
    connection_created.connect(_on_connection, dispatch_uid="queries.capture")
    request_started.connect(_on_request, dispatch_uid="queries.capture")
    request_finished.connect(_after_request, dispatch_uid="queries.capture")
    for connection in connections.all(initialized_only=True):
        _wrap(connection)
    if not getattr(SyncToAsync.__call__, "_tuneup", False):
        SyncToAsync.__call__ = _remembering(SyncToAsync.__call__)  # type: ignore[method-assign]
        threading.Thread.start = _handing_on(threading.Thread.start)  # type: ignore[method-assign]
        for connection in _open_in_other_threads():
            _wrap(connection)


def _open_in_other_threads() -> list[Any]:
    """Return every connection of the process: those of other threads are listed nowhere."""
    # By type(): to ask a lazy object for its class would make it work.
    return [one for one in gc.get_objects() if issubclass(type(one), BaseDatabaseWrapper)]


def _on_request(**_: Any) -> None:
    if _active:
        current.request.set(next(_requests))


def _after_request(**_: Any) -> None:
    current.request.set(0)


def _on_connection(connection: Any, **_: Any) -> None:
    _wrap(connection)


def _wrap(connection: Any) -> None:
    if wrapper not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, wrapper)


_stacks: dict[Key, Stack] = {}


def _place_of(frame: FrameType) -> Awaiting:
    key = place_of(frame)
    stack = _stacks.get(key)
    if stack is None:
        if len(_stacks) >= _MAX_STACKS:
            _stacks.clear()
        stack = _stacks[key] = caller_of(frame).stack
    return Awaiting(key, stack)


def _remembering(call: Callable[..., Any]) -> Callable[..., Any]:
    """Remember the coroutine's line: the thread that it sends its query to does not show it."""

    def remembering(self: Any, *given: Any, **named: Any) -> Any:
        if _active and _unit.get() is not None:
            _awaiting.set(_place_of(sys._getframe(1)))
        return call(self, *given, **named)

    remembering._tuneup = True  # type: ignore[attr-defined]
    return remembering


def _handing_on(start: Callable[..., None]) -> Callable[..., None]:
    """Let a thread that a watched block starts belong to it; its context stays its own."""

    def handing_on(self: threading.Thread) -> None:
        if _active:
            unit = _unit.get() or getattr(threading.current_thread(), "_tuneup_unit", None)
            if unit is not None:
                self._tuneup_unit = unit  # type: ignore[attr-defined]
        start(self)

    return handing_on


def begin(unit: Unit) -> Token[Unit | None]:
    """Let the queries of this context be noted by the unit, until `end`."""
    global _active
    with _lock:
        _active += 1
    return _unit.set(unit)


def end(unit: Unit, token: Token[Unit | None]) -> None:
    """Note nothing more for the unit."""
    global _active
    unit.closed = True
    with _lock:
        _active -= 1
    try:
        _unit.reset(token)
    except ValueError:  # a response's end may come in another context
        _unit.set(None)


@contextmanager
def watching(unit: Unit) -> Iterator[Unit]:
    """Let queries of the enclosed work be noted by the unit."""
    token = begin(unit)
    try:
        yield unit
    finally:
        end(unit, token)

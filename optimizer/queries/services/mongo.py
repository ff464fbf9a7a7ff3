"""Hear of every command of every MongoDB client, and tell the unit that watches, if one does.

A listener of the driver's own monitoring: its events come in the thread, and for AsyncMongoClient
in the task, of who asks. With nothing watched it costs a look at a number. Errors here are counted
and swallowed. Django's backend for MongoDB goes past execute wrappers, so that nothing is counted
twice; its frames are on the stack, so that relations are named as for SQL.
"""

import gc
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any

from optimizer.queries.engine.hyperloglog import hash_of
from optimizer.queries.engine.mongo_commands import filter_of
from optimizer.queries.engine.mongo_sample import sample_of
from optimizer.queries.engine.mongo_shape import is_control, read_command
from optimizer.queries.services import capture, current
from optimizer.queries.services.analyses import analyse, analyses
from optimizer.queries.services.commands import Command, Document, count, count_more
from optimizer.queries.services.frames import key_of
from optimizer.queries.services.relations import Access
from optimizer.queries.services.units import Unit

if TYPE_CHECKING:
    from pymongo.monitoring import (
        CommandFailedEvent,
        CommandStartedEvent,
        CommandSucceededEvent,
    )

_MONITORING = "pymongo.monitoring"
_begun: ContextVar["tuple[Unit, CommandStartedEvent] | None"] = ContextVar(
    "queries_command", default=None
)
_operation: ContextVar[tuple[int, set[Any]] | None] = ContextVar("queries_operation", default=None)
_lock = threading.Lock()
_installed = False


def install() -> None:
    """Listen to every client, of `MongoClient`, `AsyncMongoClient` and Django's alias `mongo`.

    Clients that are made from now on are heard by the driver's own registration. Clients made
    before are looked for in memory, once, and given the listener too; with a driver that keeps its
    listeners elsewhere than pymongo 4 does they stay unheard: call this before they are made. The
    driver is not imported: where it is not yet, it is registered with as soon as somebody does.
    """
    global _installed
    with _lock:
        if _installed:
            return
        _installed = True
        monitoring = sys.modules.get(_MONITORING)
        if monitoring is not None:
            _register(monitoring)
        elif importlib.util.find_spec("pymongo") is not None:
            sys.meta_path.insert(0, _WhenImported())


class Listener:
    """Tells the unit that watches of commands: from their start to their answer."""

    def started(self, event: "CommandStartedEvent") -> None:
        if not capture._active:
            return
        unit = current.unit.get() or getattr(threading.current_thread(), "_tuneup_unit", None)
        if unit is not None and not unit.closed:
            _begun.set((unit, event))

    def succeeded(self, event: "CommandSucceededEvent") -> None:
        if not capture._active:
            return
        began = perf_counter()
        unit, start = _begun.get() or (None, None)
        if unit is None or start is None or start.request_id != event.request_id:
            return
        _begun.set(None)
        took_seconds = event.duration_micros / 1_000_000
        if took_seconds >= unit.least_seconds and not unit.closed:
            try:
                _note(unit, start, took_seconds, event.reply)
            except Exception:
                capture.count_error()
            unit.own_seconds += perf_counter() - began

    def failed(self, event: "CommandFailedEvent") -> None:
        """Note the time; a failure repeats nothing, whether driver or program tries again."""
        if not capture._active:
            return
        unit, start = _begun.get() or (None, None)
        if unit is None or start is None or start.request_id != event.request_id:
            return
        _begun.set(None)
        if not is_control(start.command_name):
            unit.queries += 1
            unit.seconds += event.duration_micros / 1_000_000


def _note(unit: Unit, start: "CommandStartedEvent", took_seconds: float, reply: Document) -> None:
    """Note an answered command, from the listener's method that heard of it."""
    name = start.command_name
    if is_control(name):
        if name == "getMore":
            count_more(unit, start.command.get("getMore"), took_seconds, reply)
        return
    shape, values = read_command(start.database_name, name, start.command)
    awaiting = current.awaiting.get()
    caller = key_of(shape.fingerprint, awaiting.key if awaiting is not None else None, skip=2)
    place, frame = (shape.fingerprint, caller), sys._getframe(2)
    analysis = analyses.get(place)
    if analysis is None:
        stack = awaiting.stack if awaiting is not None else ()
        with current.unwatched():  # what reading the frames may ask is not the program's
            analysis = analyse(place, shape, frame, stack)
        if analysis.access.kind == "raw":  # no frame of Django's says what for
            analysis.access = Access("command", method=name)
        analysis.sample = sample_of(start.database_name, start.command)
    command = Command(
        unit,
        (place, current.request.get() if unit.kind == "block" else 0),
        analysis,
        name,
        hash_of(values),
        filter_of(name, start.command),
        _counted_in(start.operation_id),
        frame,
    )
    count(command, took_seconds, reply)


def _counted_in(operation_id: int | None) -> set[Any]:
    """Return the groups that an operation was counted in; a bulk sends several commands."""
    operation = _operation.get()
    if operation is None or operation[0] != operation_id or operation_id is None:
        operation = (operation_id or 0, set())
        _operation.set(operation)
    return operation[1]


# --- Registration -------------------------------------------------------------------------------


def _register(monitoring: ModuleType) -> None:
    listener = type("QueryListener", (Listener, monitoring.CommandListener), {})()
    monitoring.register(listener)
    listeners = getattr(monitoring, "_EventListeners", None)
    for one in gc.get_objects() if listeners is not None else ():
        if type(one) is listeners:
            _attach(one, listener)


def _attach(listeners: Any, listener: Any) -> None:
    """Give the listener to a client that was made before; leave alone what is not as expected."""
    held = getattr(listeners, "_EventListeners__command_listeners", None)
    if isinstance(held, list) and hasattr(listeners, "_EventListeners__enabled_for_commands"):
        held.append(listener)
        listeners._EventListeners__enabled_for_commands = True


class _WhenImported(MetaPathFinder):
    """Registers when the driver's monitoring has been imported, and is gone then."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MONITORING or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _then_register(  # type: ignore[method-assign, assignment]
                spec.loader.exec_module
            )
        return spec


def _then_register(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def execute_and_register(module: ModuleType) -> None:
        execute(module)
        try:
            _register(module)
        except Exception:
            capture.count_error()

    return execute_and_register

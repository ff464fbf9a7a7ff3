"""What runs around each statement: writes on the primary are noted, and reads on a replica are
timed, counted, and asked of the primary where the replica does not answer.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.signals import connection_created

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.group import Group
from optimizer.balancer.services.balancing import balancer
from optimizer.balancer.services.reads import readers, replicas
from optimizer.balancer.services.reads.readers import PRIMARY
from optimizer.balancer.services.reads.statistics import statistics

Execute = Callable[..., Any]
_READS = ("SELECT", "SHOW", "SAVEPOINT", "RELEASE", "ROLLBACK")
# Statements that a standby ends in favour of what it replays; relations and columns that the
# primary has and whose migration is not replayed yet.
_CONFLICT = frozenset({"40001", "40P01", "57P01", "57P02", "57P03"})
_NOT_YET = frozenset({"42P01", "42703"})


def install() -> None:
    """Watch the statements of every connection that is opened from now on."""
    connection_created.connect(_on_connection, dispatch_uid="balancer.reads")
    for connection in connections.all(initialized_only=True):
        _on_connection(connection)


def _on_connection(connection: Any, **_: Any) -> None:
    alias = connection.alias
    if connections[alias] is not connection:
        return  # one of a thread that looks at replicas
    if alias == PRIMARY:
        if note_writes not in connection.execute_wrappers:
            connection.execute_wrappers.append(note_writes)
    elif alias in replicas.known.by_alias and read_replica not in connection.execute_wrappers:
        connection.execute_wrappers.append(read_replica)


def note_writes(execute: Execute, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Run a statement on the primary; all but plain reads are taken to write."""
    one = readers.current.get()
    if one is None or is_plain_read(sql):
        return execute(sql, params, many, context)
    try:
        return execute(sql, params, many, context)
    finally:  # a statement that failed may have written, as when its answer was lost
        readers.note_write(one)


def is_plain_read(sql: Any) -> bool:
    """Say whether a statement's first word is one that writes nothing."""
    if not isinstance(sql, str):
        return False  # psycopg's composed statements
    return sql.lstrip(" (\n\t")[:9].upper().startswith(_READS)


def read_replica(execute: Execute, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Run a read on a replica; where that does not answer, on the primary."""
    connection = context["connection"]
    found = _endpoint(connection.alias)
    if found is None:
        return execute(sql, params, many, context)
    group, endpoint = found
    group.start(endpoint)
    began = group.clock()
    try:
        result = execute(sql, params, many, context)
    except (DatabaseError, InterfaceError) as error:
        lost = connection.connection is None or connection.connection.closed
        state = str(getattr(error.__cause__, "sqlstate", "") or "")
        # That a statement is wrong is no fault of the replica's.
        fault = lost or state in _CONFLICT
        group.done(endpoint, group.clock() - began, failed=fault)
        if many or connection.in_atomic_block or not (fault or state in _NOT_YET):
            raise
        if lost:
            replicas.known.by_alias[connection.alias].lost(str(error).partition("\n")[0])
        return _redo(connection, context["cursor"], sql, params, lost=lost)
    except BaseException:
        group.drop(endpoint)
        raise
    group.done(endpoint, group.clock() - began, failed=False)
    return result


def _endpoint(alias: str) -> tuple[Group, Endpoint] | None:
    group = balancer.groups().get(replicas.GROUP)
    for one in group.endpoints.values() if group is not None else ():
        if group is not None and one.address == alias:
            return group, one
    return None


def _redo(connection: Any, cursor: Any, sql: Any, params: Any, *, lost: bool) -> Any:
    """Have the primary answer: the cursor that the caller holds becomes one of the primary's."""
    statistics.count_redone(connection.alias)
    primary, before = connections[PRIMARY], cursor.cursor
    is_server_side = hasattr(before, "scrollable")
    fresh: Any = primary.chunked_cursor() if is_server_side else primary.cursor()
    result = fresh.execute(sql, params)
    cursor.cursor, cursor.db = fresh.cursor, primary
    with suppress(OperationalError, InterfaceError):  # it is gone either way
        if lost:
            connection.close()
        else:
            before.close()
    return result

"""Bulk writes to PostgreSQL with psycopg 3: COPY into a temporary table, or arrays and `unnest`.

The temporary table is made for one call and gone after it: a connection pooler may give the next
transaction another connection, a migration other columns, and a savepoint's rollback takes a table
made after the savepoint with it. That costs about a millisecond, so few rows go as arrays.
"""

import datetime as dt
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.types.json import Jsonb

from optimizer.batches.engine import bulk_sql
from optimizer.batches.engine.bulk_sql import Column, Source, Target
from optimizer.batches.services.bulk_work import Group, Options

COPY_FROM_ROWS = 200  # from here on COPY is faster than arrays: benchmarks/batches_bulk.py
LOOK_FROM_ROWS = 1000
_SAMPLED_ROWS = 300
_LOOK_RATIO = 0.2  # looking costs a tenth of the write, and saves four fifths of an unchanged row

# What is sent as binary or in arrays, by its type without length: psycopg's name, Python's type.
_SIMPLE: dict[str, tuple[str, type]] = {
    "bigint": ("int8", int),
    "integer": ("int4", int),
    "smallint": ("int2", int),
    "varchar": ("varchar", str),
    "text": ("text", str),
    "boolean": ("bool", bool),
    "double precision": ("float8", float),
    "numeric": ("numeric", Decimal),
    "timestamp with time zone": ("timestamptz", dt.datetime),
    "date": ("date", dt.date),
    "time": ("time", dt.time),
    "interval": ("interval", dt.timedelta),
    "uuid": ("uuid", uuid.UUID),
    "jsonb": ("jsonb", Jsonb),
}
_RANGES = {"bigint": 2**63, "integer": 2**31, "smallint": 2**15}


def is_psycopg3(connection: Any) -> bool:
    """Say whether the connection's driver knows COPY as it is used here."""
    return bool(connection.vendor == "postgresql" and connection.Database.__name__ == "psycopg")


def fits_arrays(group: Group) -> bool:
    """Say whether every column can go as an array of its type."""
    return all(_base(column.type) in _SIMPLE for column in group.target.columns)


def by_arrays(connection: BaseDatabaseWrapper, group: Group, options: Options) -> tuple[int, int]:
    """Write a group as arrays; return the rows that changed and the statements sent."""
    target = _with_base_types(group.escaped())
    statement = _statement(group, target, bulk_sql.spread(target.columns), options)
    changed = trips = 0
    with connection.cursor() as cursor:
        for columns in group.chunks(options.chunk_size):
            cursor.execute(statement, columns)
            changed += cursor.rowcount
            trips += 1
    return changed, trips


def by_copy(
    connection: BaseDatabaseWrapper, group: Group, options: Options, *, transaction_goes_on: bool
) -> tuple[int, int]:
    """Write a group through the temporary table; return the rows that changed and the statements
    sent.
    """
    target = _with_base_types(group.target)
    binary = _binary_types(target, group)
    with connection.cursor() as cursor:
        cursor.execute(bulk_sql.create_stage(target.columns))
        with (
            connection.wrap_database_errors,
            cursor.copy(bulk_sql.copy_to_stage(binary=binary is not None)) as copy,
        ):
            if binary is not None:
                copy.set_types(binary)
            write = copy.write_row
            for row in zip(*group.columns, strict=True):
                write(row)
        looks = _may_look_first(group)
        if looks and _many_are_stored(cursor, target, len(group.columns[0])):
            cursor.execute(bulk_sql.upsert(target, bulk_sql.STAGED, look_first=True))
        else:
            cursor.execute(_statement(group, target, bulk_sql.STAGED, options))
        changed = int(cursor.rowcount)
        if transaction_goes_on:
            cursor.execute(bulk_sql.drop_stage())
    return changed, 3 + looks + transaction_goes_on


def _may_look_first(group: Group) -> bool:
    """Say whether it may pay to look for rows that are stored as they are before they are sent."""
    target = group.target
    return bool(
        group.verb == "upsert"
        and target.updates
        and target.skip_unchanged
        and target.sequence is None
        and len(group.columns[0]) >= LOOK_FROM_ROWS
    )


def _many_are_stored(cursor: Any, target: Target, rows: int) -> bool:
    cursor.execute(bulk_sql.sample(target, min(100.0, 100.0 * _SAMPLED_ROWS / rows)))
    looked_at, stored = cursor.fetchone()
    return bool(stored > _LOOK_RATIO * looked_at)


def _statement(group: Group, target: Target, source: Source, options: Options) -> str:
    if group.verb == "insert":
        return bulk_sql.insert(target, source, ignore_conflicts=options.ignore_conflicts)
    if group.verb == "upsert":
        return bulk_sql.upsert(target, source)
    return (bulk_sql.update if group.verb == "update" else bulk_sql.delete)(target, source)


def _binary_types(target: Target, group: Group) -> list[str] | None:
    """Return the types for COPY's binary format, or None where a value needs text.

    The binary format takes no other type in a column, and what does not fit into the type is cut
    there, not refused: such numbers go as text, so that PostgreSQL itself refuses them.
    """
    names = []
    for column, values in zip(target.columns, group.columns, strict=True):
        if column.type not in _SIMPLE:
            return None
        name, wanted = _SIMPLE[column.type]
        kinds = set(map(type, values))
        if not kinds <= {wanted, type(None)}:
            return None
        if limit := _RANGES.get(column.type):
            numbers = values
            if type(None) in kinds:
                numbers = [value for value in values if value is not None]
            if numbers and not (-limit <= min(numbers) and max(numbers) < limit):
                return None
        names.append(name)
    return names


def _with_base_types(target: Target) -> Target:
    columns = tuple(Column(one.name, _base(one.type)) for one in target.columns)
    return replace(target, columns=columns)


def _base(kind: str) -> str:
    """Return a simple type without its length or precision, any other one as it is."""
    base = kind.partition("(")[0]
    return base if base in _SIMPLE and not kind.endswith("]") else kind

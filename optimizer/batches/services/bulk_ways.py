"""Chooses how a bulk write is sent, and sends it as one transaction."""

from collections.abc import Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from optimizer.batches.engine import bulk_sql_order
from optimizer.batches.services import bulk_orm, bulk_postgresql, bulk_sqlite
from optimizer.batches.services.bulk_fields import Layout
from optimizer.batches.services.bulk_rows import Columns
from optimizer.batches.services.bulk_values import (
    LEFT_OUT,
    NeedsExpression,
    has_own_placeholder,
    prepare,
)
from optimizer.batches.services.bulk_work import Group, Options, Way, groups


def write(
    connection: BaseDatabaseWrapper,
    layout: Layout,
    columns: Columns,
    options: Options,
    way: Way | None,
) -> tuple[int, int, int, int]:
    """Return the rows that were sent, folded and changed, and the statements.

    Raises ValueError for a way that the database or the fields do not allow.
    """
    allowed = _allowed(connection, layout)
    if way is not None and way not in allowed:
        raise ValueError(f"way: {way!r} is not possible here; allowed are {', '.join(allowed)}.")
    by_orm = (way or allowed[0]) == "orm"
    try:
        ready = _prepared(connection, layout, columns, by_orm=by_orm)
    except NeedsExpression as error:
        if way is not None:
            raise ValueError(
                f"way: {error} is written by an expression, which needs 'orm'."
            ) from None
        by_orm, ready = True, _prepared(connection, layout, columns, by_orm=True)
    order = _order(connection, layout, ready)
    if by_orm:  # Django prepares the values itself
        ready = columns
    if order is not None:
        ready = [bulk_sql_order.pick(column, order) for column in ready]
    kept = len(ready[0])
    goes_on = connection.in_atomic_block
    # No savepoint: an error inside another transaction is its owner's, who may have set one.
    with transaction.atomic(using=connection.alias, savepoint=False):
        if by_orm:
            changed, trips = bulk_orm.by_orm(connection, layout, ready, options)
        else:
            changed = trips = 0
            parts = groups(connection, layout, ready, options)
            for number, group in enumerate(parts, 1):
                last = number == len(parts) and not goes_on
                more, sent = _send(connection, group, options, way, transaction_goes_on=not last)
                changed, trips = changed + more, trips + sent
    return kept, len(columns[0]) - kept, changed, trips


def _allowed(connection: BaseDatabaseWrapper, layout: Layout) -> tuple[Way, ...]:
    """Return the ways that are possible, the preferred ones first."""
    if any(has_own_placeholder(field) for field in layout.fields):
        return ("orm",)
    if connection.vendor == "sqlite":
        return ("executemany", "orm")
    if bulk_postgresql.is_psycopg3(connection):
        return ("copy", "unnest", "orm")
    return ("orm",)


def _prepared(
    connection: BaseDatabaseWrapper, layout: Layout, columns: Columns, *, by_orm: bool
) -> Columns:
    """Return prepared columns; of those that Django writes itself only what rows are sorted by."""
    wanted: Sequence[int] = range(len(columns))
    if by_orm:
        wanted = (*layout.keys, *(() if layout.sequence is None else (layout.sequence,)))
    return [
        prepare(layout.fields[number], column, connection, adds=layout.adds)
        if number in wanted
        else column
        for number, column in enumerate(columns)
    ]


def _order(connection: BaseDatabaseWrapper, layout: Layout, ready: Columns) -> list[int] | None:
    """Return which rows are sent, in which order; None for all as they came."""
    if not layout.keys:
        return None
    keys = [ready[number] for number in layout.keys]
    if connection.vendor == "sqlite" and bulk_sql_order.all_differ(keys):
        return None  # with one writer at a time locks need no order
    if any(LEFT_OUT in column for column in keys):
        keys = [[None if value is LEFT_OUT else value for value in column] for column in keys]
    if layout.verb == "insert":
        return bulk_sql_order.sort(keys)
    sequences = None if layout.sequence is None else ready[layout.sequence]
    order = bulk_sql_order.fold(keys, sequences, nulls_distinct=layout.nulls_distinct)
    return None if order == list(range(len(ready[0]))) else order


def _send(
    connection: BaseDatabaseWrapper,
    group: Group,
    options: Options,
    way: Way | None,
    *,
    transaction_goes_on: bool,
) -> tuple[int, int]:
    if connection.vendor == "sqlite":
        return bulk_sqlite.by_executemany(connection, group, options)
    if not bulk_postgresql.fits_arrays(group):
        way = "copy"
    if way is None:
        few = len(group.columns[0]) < bulk_postgresql.COPY_FROM_ROWS
        way = "unnest" if few else "copy"
    if way == "unnest":
        return bulk_postgresql.by_arrays(connection, group, options)
    return bulk_postgresql.by_copy(
        connection, group, options, transaction_goes_on=transaction_goes_on
    )

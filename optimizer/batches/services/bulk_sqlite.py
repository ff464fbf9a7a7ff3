"""Bulk writes to SQLite: one prepared statement, run for each row inside one transaction."""

from django.db import DataError
from django.db.backends.base.base import BaseDatabaseWrapper

from optimizer.batches.engine import bulk_sql_lite
from optimizer.batches.services.bulk_work import Group, Options


def by_executemany(
    connection: BaseDatabaseWrapper, group: Group, options: Options
) -> tuple[int, int]:
    """Write a group; return the rows that changed and the calls of `executemany`.

    Raises DataError for a whole number of more than 64 bits.
    """
    statement = _statement(group, options)
    changed = trips = 0
    with connection.cursor() as cursor:
        for columns in group.chunks(options.chunk_size):
            try:
                cursor.executemany(statement, list(zip(*columns, strict=True)))
            except OverflowError as error:
                raise DataError(str(error)) from error
            changed += cursor.rowcount
            trips += 1
    return changed, trips


def _statement(group: Group, options: Options) -> str:
    target = group.escaped()
    if group.verb == "insert":
        return bulk_sql_lite.insert(target, ignore_conflicts=options.ignore_conflicts)
    if group.verb == "upsert":
        return bulk_sql_lite.upsert(target)
    return (bulk_sql_lite.update if group.verb == "update" else bulk_sql_lite.delete)(target)

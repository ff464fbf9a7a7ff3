"""Index advice asks PostgreSQL: the generic plan of a prepared statement, and HypoPG's indexes.

All of it is in one read-only transaction that is rolled back; what outlives a transaction (the
prepared statement, HypoPG's indexes) is removed before its end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

from optimizer.queries.engine.asked import Asked
from optimizer.queries.engine.candidates import Candidate
from optimizer.queries.engine.placeholders import numbered
from optimizer.queries.engine.plans import Index, Key, Plan, Table
from optimizer.queries.engine.plans_postgresql import read_plan
from optimizer.queries.engine.trials import LEAST_COST, Trial
from optimizer.queries.services.index_planner import (
    LOCK_TIMEOUT_SECONDS,
    STATEMENT_TIMEOUT_SECONDS,
    NotPlanned,
    Tables,
    Tried,
    create_index,
    first_value,
    quoted,
)

HOW = "HypoPG"

_PREPARED = "tuneup_index_advice"
# Partitioned and foreign tables are left out: an index on them is another matter.
_TABLE = """
    SELECT c.oid, n.nspname, c.relname, c.reltuples FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'm') AND NOT c.relispartition
      AND c.relpersistence <> 't'
"""
_COLUMNS = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_INDEXES = """
    SELECT i.relname, x.indisunique, x.indpred IS NULL AND am.amname = 'btree',
      EXISTS (SELECT FROM pg_constraint WHERE conindid = x.indexrelid) OR x.indisreplident,
      ARRAY(
        SELECT ARRAY[coalesce(a.attname, ''), pg_get_indexdef(x.indexrelid, k, true),
          (x.indoption[k - 1] & 1)::text,
          CASE WHEN o.opcdefault AND x.indcollation[k - 1] IN (0, a.attcollation) THEN ''
          ELSE o.opcname END]
        FROM generate_series(1, x.indnkeyatts) k
        JOIN pg_opclass o ON o.oid = x.indclass[k - 1]
        LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[k - 1]
          AND x.indkey[k - 1] > 0
        ORDER BY k)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am am ON am.oid = i.relam
    WHERE x.indrelid = %s AND x.indisvalid ORDER BY i.relname
"""
_HYPOPG = """
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'hypopg'
"""


class PostgresqlPlanner:
    """Plans one statement without values, within a transaction that others roll back."""

    least_before = LEAST_COST

    def __init__(self, connection: "psycopg.Connection[Any]", sql: str) -> None:
        self._connection = connection
        self._text, self._parameters = numbered(sql)

    def plan(self) -> Plan:
        values = ", ".join(["NULL"] * self._parameters)
        run = f"{_PREPARED}({values})" if values else _PREPARED
        try:
            with self._connection.transaction():
                # In binary format a text goes by the extended protocol, which takes no second
                # statement.
                self._execute(f"PREPARE {_PREPARED} AS {self._text}", binary=True)
                try:
                    with self._connection.transaction():
                        explained = self._row(f"EXPLAIN (FORMAT JSON) EXECUTE {run}")
                finally:
                    self._execute(f"DEALLOCATE {_PREPARED}")
            return read_plan(first_value(explained))
        except (psycopg.Error, ValueError) as error:
            raise NotPlanned(str(error)) from error

    def tables(self, asked: tuple[Asked, ...]) -> Tables:
        names = {(one.schema, one.table) for one in asked}
        found = {key: self._table(*key) for key in names}
        return {key: table for key, table in found.items() if table is not None}

    def try_out(self, candidates: list[Candidate], plan: Plan, asked: tuple[Asked, ...]) -> Tried:
        is_costly = plan.cost is None or plan.cost >= self.least_before
        sure = tuple(one for one in candidates if one.is_sure and is_costly)
        schema = first_value(self._row(_HYPOPG))
        if schema is None:
            return Tried(why_not="the database has no HypoPG to try an index with", sure=sure)
        hypopg = quoted(schema)
        try:
            with self._connection.transaction():
                trials = [self._try(one, plan, hypopg) for one in candidates]
        except (psycopg.Error, NotPlanned) as error:
            return Tried(why_not=f"no index could be tried: {error}", sure=sure)
        return Tried(tuple(one for one in trials if one is not None), HOW)

    def _try(self, candidate: Candidate, plan: Plan, hypopg: str) -> Trial | None:
        try:
            with self._connection.transaction():
                name = self._row(
                    f"SELECT indexname FROM {hypopg}.hypopg_create_index(%s)",  # noqa: S608  # quoted
                    [create_index(candidate, "tried")],
                )
        except psycopg.Error:  # not an index that can be: of a type without an order
            return None
        try:
            after = self.plan()
        finally:
            self._execute(f"SELECT {hypopg}.hypopg_reset()")
        is_used = after.uses(str(first_value(name)))
        return Trial(candidate, after, plan.cost or 0.0, after.cost or 0.0, is_used)

    def _table(self, schema: str, name: str) -> Table | None:
        place = f"{quoted(schema)}.{quoted(name)}" if schema else quoted(name)
        row = self._row(_TABLE, [place])
        if row is None:
            return None
        oid, found_schema, found, rows = row
        columns = {str(one): str(kind).lower() for one, kind in self._rows(_COLUMNS, [oid])}
        if rows < 0:  # never analysed: the planner guesses by the size
            guessed = first_value(
                self._row(
                    f"EXPLAIN (FORMAT JSON) SELECT FROM {quoted(found_schema)}.{quoted(found)}"
                )  # noqa: S608  # quoted
            )
            rows = guessed[0]["Plan"]["Plan Rows"]
        indexes = tuple(_index(*one) for one in self._rows(_INDEXES, [oid]))
        return Table(str(found), columns, int(rows), indexes, schema)

    def _row(self, sql: str, values: list[Any] | None = None) -> Any:
        return next(iter(self._rows(sql, values)), None)

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[Any]:
        return self._execute(sql, values).fetchall()

    def _execute(
        self, sql: str, values: list[Any] | None = None, *, binary: bool = False
    ) -> "psycopg.Cursor[Any]":
        cursor = psycopg.Cursor(self._connection)
        return cursor.execute(sql.encode(), values, prepare=False, binary=binary)


def _index(
    name: str, is_unique: bool, is_whole: bool, is_constraint: bool, parts: list[list[str]]
) -> Index:
    keys = []
    is_plain = is_whole
    for column, expression, descending, operators in parts:
        is_plain = is_plain and bool(column) and not operators
        function = ""
        if not column:
            function, _, rest = expression.partition("(")
            function, column = function.upper(), rest.split("::")[0].strip('()"')
        keys.append(Key(column, descending == "1", function, operators))
    return Index(name, tuple(keys), is_unique, is_plain, is_constraint)


@contextmanager
def postgresql_planner(connection: BaseDatabaseWrapper, sql: str) -> Iterator[PostgresqlPlanner]:
    """Give a planner for one statement, in a transaction of its own."""
    raw: psycopg.Connection[Any] = connection.connection
    with raw.transaction(force_rollback=True):
        planner = PostgresqlPlanner(raw, sql)
        for setting in (
            "TRANSACTION READ ONLY",
            "LOCAL plan_cache_mode = force_generic_plan",
            f"LOCAL statement_timeout = {STATEMENT_TIMEOUT_SECONDS * 1000:.0f}",
            f"LOCAL lock_timeout = {LOCK_TIMEOUT_SECONDS * 1000:.0f}",
        ):
            planner._execute(f"SET {setting}")
        yield planner

"""Index advice asks SQLite: EXPLAIN QUERY PLAN, and indexes that are rolled back.

An index is tried by making it in a transaction that never commits. Other writers wait meanwhile,
so a table beyond MAX_ROWS is not tried, and between two trials they have time to go; readers go on.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from optimizer.queries.engine.asked import Asked
from optimizer.queries.engine.candidates import FEW, LEAST_ROWS, Candidate
from optimizer.queries.engine.placeholders import question_marks
from optimizer.queries.engine.plans import Index, Key, Plan, Table
from optimizer.queries.engine.plans_sqlite import read_plan
from optimizer.queries.engine.trials import LEAST_WORK, Trial, rows_read
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

MAX_ROWS = 200_000  # of a table that an index is tried on
HOW = "rolled-back index"

_SAMPLE = 10_000  # rows
_LONG_SECONDS = 0.02  # of holding the writers' lock
_LOOK_SECONDS = 0.1  # how often at least a waiting writer looks whether the lock is free
_STEPS_PER_LOOK = 10_000  # of SQLite's virtual machine, between two looks at the clock


class SqlitePlanner:
    """Plans one statement with unbound parameters, on a connection that nobody else uses."""

    least_before = LEAST_WORK

    def __init__(self, connection: sqlite3.Connection, sql: str, max_rows: int) -> None:
        self._connection, self._max_rows = connection, max_rows
        text, parameters = question_marks(sql)
        self._explain = f"EXPLAIN QUERY PLAN {text}"
        self._values = [None] * parameters
        self._tables: Tables = {}

    def plan(self) -> Plan:
        try:
            return read_plan(self._rows(self._explain, self._values))
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise NotPlanned(str(error)) from error

    def tables(self, asked: tuple[Asked, ...]) -> Tables:
        names = {(one.schema, one.table) for one in asked if one.schema in ("", "main")}
        found = {(schema, name): self._table(name) for schema, name in names}
        self._tables = {key: table for key, table in found.items() if table is not None}
        return self._tables

    def try_out(self, candidates: list[Candidate], plan: Plan, asked: tuple[Asked, ...]) -> Tried:
        big = [one.table for one in candidates if one.table.rows > self._max_rows]
        if big:
            why = f"{big[0].name} has more than {self._max_rows:,} rows, too many to try an index"
            return Tried(why_not=why, sure=self._sure(candidates))
        tables = self._tables
        aliases = {
            one.alias.lower(): tables[(one.schema, one.table)]
            for one in asked
            if (one.schema, one.table) in tables
        }
        try:
            return Tried(tuple(self._try(one, plan, aliases) for one in candidates), HOW)
        except sqlite3.Error as error:
            why = f"no index could be tried: {error}"
            return Tried(why_not=why, sure=self._sure(candidates))

    def _try(self, candidate: Candidate, plan: Plan, aliases: dict[str, Table]) -> Trial:
        name = "tuneup_tried_index"
        with self._rolled_back():
            self._connection.execute(create_index(candidate, name))
            # Whoever makes the index may never say ANALYZE; it has to serve with and without.
            planned = [self.plan()]
            self._connection.execute(f"ANALYZE {quoted(candidate.table.name)}")
            planned.append(self.plan())
            averages = self._averages()
        plan_after = planned[0]
        reads = [read for one in planned for read in one.reads if read.index == name]
        is_used = all(one.uses(name) for one in planned)
        if candidate.needs_covering:
            is_used = is_used and all(read.is_covering for read in reads)
        return Trial(
            candidate,
            plan_after,
            before=rows_read(plan, aliases, averages),
            after=rows_read(plan_after, aliases, averages, candidate.limit),
            is_used=is_used,
        )

    def _sure(self, candidates: list[Candidate]) -> tuple[Candidate, ...]:
        """Return the sure ones, without those whose first column has but a few values."""
        try:
            return tuple(one for one in candidates if one.is_sure and self._is_selective(one))
        except sqlite3.Error:
            return ()

    def _is_selective(self, candidate: Candidate) -> bool:
        if not candidate.equalities or candidate.limit is not None:
            return True
        column, table = quoted(candidate.columns[0]), quoted(candidate.table.name)
        sample = f"SELECT {column} AS sampled FROM {table} LIMIT {_SAMPLE}"  # noqa: S608  # quoted
        row = self._row(f"SELECT count(DISTINCT sampled), count(*) FROM ({sample})")  # noqa: S608
        return int(row[0]) >= 1 / FEW

    @contextmanager
    def _rolled_back(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        since = time.monotonic()
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if time.monotonic() - since >= _LONG_SECONDS:
            time.sleep(_LOOK_SECONDS)

    def _averages(self) -> dict[str, list[float]]:
        """Return how many rows have the same leading columns, by index, as ANALYZE counted."""
        rows = self._rows("SELECT idx, stat FROM sqlite_stat1 WHERE idx IS NOT NULL")
        return {
            str(name): [float(part) for part in str(stat).split()[1:] if part.isdigit()]
            for name, stat in rows
        }

    def _table(self, name: str) -> Table | None:
        row = self._row(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND lower(name) = ?", [name]
        )
        if row is None or str(row[1]).upper().startswith("CREATE VIRTUAL"):
            return None
        name = str(row[0])
        columns = {str(one[1]): str(one[2]).lower() for one in self._pragma("table_info", name)}
        return Table(name, columns, self._count(name), tuple(self._indexes(name)))

    def _indexes(self, table: str) -> Iterator[Index]:
        key = [str(one[1]) for one in self._pragma("table_info", table) if one[5]]
        if len(key) == 1:
            yield Index("", (Key(key[0]),), is_unique=True, is_constraint=True)
        for _, name, unique, origin, partial in self._pragma("index_list", table):
            rows = [one for one in self._pragma("index_xinfo", name) if one[5]]
            keys = tuple(Key(str(one[2] or ""), is_descending=bool(one[3])) for one in rows)
            is_plain = not partial and all(one[2] and one[4] == "BINARY" for one in rows)
            yield Index(str(name), keys, bool(unique), is_plain, is_constraint=origin != "c")

    def _count(self, table: str) -> int:
        """Return the rows of a table; what lies beyond the limit is estimated by the last key."""
        name = quoted(table)
        try:
            most = first_value(self._row(f"SELECT max(rowid) FROM {name}"))  # noqa: S608  # quoted
        except sqlite3.Error:  # it has none
            most = 0
        most = most if isinstance(most, int) else 0
        bound = max(self._max_rows, LEAST_ROWS) + 1
        counted = int(
            first_value(
                self._row(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {bound})")  # noqa: S608  # quoted
            )
        )
        return counted if counted < bound else max(counted, most)

    def _pragma(self, pragma: str, name: str) -> list[Any]:
        return self._rows(f"PRAGMA {pragma}({quoted(name)})")

    def _row(self, sql: str, values: list[Any] | None = None) -> Any:
        return next(iter(self._rows(sql, values)), None)

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[Any]:
        with closing(self._connection.cursor()) as cursor:
            return cursor.execute(sql, values or []).fetchall()


@contextmanager
def sqlite_planner(
    connection: BaseDatabaseWrapper, sql: str, max_rows: int = MAX_ROWS
) -> Iterator[SqlitePlanner]:
    """Give a planner for one statement; nothing takes longer than the statement timeout."""
    raw: sqlite3.Connection = connection.connection
    end = time.monotonic() + STATEMENT_TIMEOUT_SECONDS
    raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS_PER_LOOK)
    raw.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_SECONDS * 1000:.0f}")
    try:
        yield SqlitePlanner(raw, sql, max_rows)
    finally:
        raw.set_progress_handler(None, 0)

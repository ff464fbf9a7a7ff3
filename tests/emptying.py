"""Empties the test database after a test that commits: only the tables that have rows.

Django's own flush empties every table and then makes all content types and permissions anew,
which takes longer than most tests do. Here those rows stay as `migrate` left them; where a test
has changed even one of them, or filled a table of PostgreSQL with much, Django's flush is run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

# Deleted rows stay in a file of PostgreSQL for a while, and its planner counts them.
LARGE_BYTES = 128 * 1024


class Emptying:
    """What is known of one database, right after its tables were made."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.tables = connection.introspection.django_table_names(
            only_existing=True, include_views=False
        )
        self.remember()

    def remember(self) -> None:
        """Note the rows that every test is to find."""
        self.kept = {table: self._rows(table) for table in self._filled(self.tables)}

    def empty(self) -> bool:
        """Delete what was added since; False where that is not enough, and nothing is done."""
        if any(self._rows(table) != rows for table, rows in self.kept.items()):
            return False
        filled = self._filled([table for table in self.tables if table not in self.kept])
        if self.connection.vendor == "postgresql" and self._has_large(filled):
            return False
        if filled:
            alias = self.connection.alias
            with transaction.atomic(using=alias), self.connection.cursor() as cursor:
                for table in filled:  # in any order: the constraints are deferred
                    cursor.execute(f"DELETE FROM {self._quoted(table)}")  # noqa: S608
        return True

    def _quoted(self, table: str) -> str:
        return self.connection.ops.quote_name(table)

    def _rows(self, table: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self._quoted(table)}")  # noqa: S608
            return sorted(cursor.fetchall())

    def _filled(self, tables: list[str]) -> list[str]:
        rows = [f"EXISTS(SELECT 1 FROM {self._quoted(one)})" for one in tables]  # noqa: S608
        return self._those(tables, rows)

    def _has_large(self, tables: list[str]) -> bool:
        sizes = [f"pg_table_size('{self._quoted(one)}') > {LARGE_BYTES}" for one in tables]
        return bool(self._those(tables, sizes))

    def _those(self, tables: list[str], conditions: list[str]) -> list[str]:
        """Return the tables whose condition is true."""
        if not tables:
            return []
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(conditions)}")
            answers = cursor.fetchone()
        return [table for table, is_so in zip(tables, answers, strict=True) if is_so]


@contextmanager
def fast_flush(aliases: list[str]) -> Iterator[None]:
    """Let tests that commit empty these databases so, for as long as the block runs."""
    known = {alias: Emptying(connections[alias]) for alias in aliases}
    slow: Callable[[TransactionTestCase], None] = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def teardown(case: Any) -> None:
        used = case._databases_names(include_mirrors=False)
        usual = case.available_apps is None and not case.serialized_rollback
        if usual and all(alias in known and known[alias].empty() for alias in used):
            return
        slow(case)
        for alias in used:
            if alias in known:
                known[alias].remember()

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[attr-defined]
    try:
        yield
    finally:
        TransactionTestCase._fixture_teardown = slow  # type: ignore[attr-defined]

"""Index advice where a database cannot try an index, and what it leaves behind."""

import sqlite3

import pytest
from django.db import connection, connections

from optimizer.queries.services import index_planner
from optimizer.queries.services.indexes import advise_index
from tests.library.models import Book, Shelfmark
from tests.queries.rows import NUMBERS, ROWS, advised, execute, index_of, library, sent
from tests.queries.test_indexes import BOOKS, HELPED

pytestmark = pytest.mark.django_db(transaction=True)

sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="is about SQLite")
postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="is about PostgreSQL")
__all__ = ["library"]

SQL = "SELECT id FROM library_book WHERE pages = %s"
SHELVE = """INSERT INTO "tbl shelf" ("Shelf-No", bk_ref) SELECT 'm' || i, i FROM n"""
GONE = "DELETE FROM library_book"
TITLED = "SELECT id FROM library_book WHERE title LIKE "


@sqlite
def test_a_large_table_is_not_locked_to_try_an_index(library):
    advice = advised(SQL, max_rows=ROWS - 1)
    assert (advice.columns, advice.verified, advice.plan_after) == (("pages",), "", "")
    assert "19,999 rows" in advice.reason
    assert advised(SQL, max_rows=ROWS).verified == "rolled-back index"
    few_values = "SELECT title FROM library_book WHERE price = %s"
    assert advise_index("default", few_values, max_rows=ROWS - 1) is None
    assert advise_index("default", SQL, max_rows=ROWS - 1, write_share=0.6) is None


@sqlite
def test_another_writer_is_not_waited_for_long(library, monkeypatch):
    monkeypatch.setattr(
        "optimizer.queries.services.index_planner_sqlite.LOCK_TIMEOUT_SECONDS", 0.01
    )
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        advice = advised(SQL)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert (advice.columns, advice.verified) == (("pages",), "")
    assert "locked" in advice.reason


@sqlite
def test_sqlite_keeps_nothing_of_what_was_tried(library):
    schema = "SELECT * FROM sqlite_master ORDER BY name"
    before = execute(schema), execute("SELECT * FROM sqlite_stat1 ORDER BY idx")
    for queryset, _ in HELPED.values():
        assert advise_index("default", sent(queryset)) is not None
    assert (execute(schema), execute("SELECT * FROM sqlite_stat1 ORDER BY idx")) == before
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # nobody holds the lock any more
    other.execute("ROLLBACK")
    other.close()


@sqlite
def test_without_statistics_it_counts_by_itself(library):
    execute("DROP TABLE sqlite_stat1")
    connections.close_all()  # each connection has read them when it was opened
    assert advised(SQL).columns == ("pages",)
    assert advise_index("default", "SELECT title FROM library_book WHERE price = %s") is None


@postgresql
def test_without_hypopg_it_says_that_it_has_not_tried(library):
    execute("DROP EXTENSION hypopg")
    advice = advised(SQL)
    assert (advice.columns, advice.verified) == (("pages",), "")
    assert advice.cost_before > 0 and advice.cost_after is None
    assert "HypoPG" in advice.reason
    few_values = "SELECT title FROM library_book WHERE price = %s"
    assert advise_index("default", few_values) is None


@postgresql
def test_postgresql_keeps_nothing_of_what_was_tried(library):
    from optimizer.queries.engine.asked import Dialect
    from optimizer.queries.engine.candidates import candidates
    from optimizer.queries.engine.conditions import read_statement
    from optimizer.queries.services.index_planner_postgresql import postgresql_planner

    connection.ensure_connection()
    # Those of HypoPG are there once its library is loaded.
    settings = "SELECT name, setting FROM pg_settings WHERE name !~ '^hypopg' ORDER BY name"
    before = execute(settings)
    statement = read_statement(SQL.replace("%s", "$1"), Dialect.POSTGRESQL)
    assert statement is not None
    asked = statement.asked
    with postgresql_planner(connection, SQL) as planner:
        plan = planner.plan()
        proposed = candidates(plan, asked, planner.tables(asked))
        assert planner.try_out(proposed, plan, asked).trials
    with (
        pytest.raises(index_planner.NotPlanned),
        postgresql_planner(connection, "SELECT nothing FROM library_book") as planner,
    ):
        planner.plan()
    assert execute("SELECT * FROM pg_prepared_statements") == []
    assert execute("SELECT * FROM hypopg()") == []
    assert execute(settings) == before
    assert connection.connection.info.transaction_status.name == "IDLE"


@postgresql
def test_nothing_can_be_written_while_it_asks(library):
    from optimizer.queries.services.index_planner_postgresql import postgresql_planner

    connection.ensure_connection()
    twice = f"{SQL}; {GONE}"
    with postgresql_planner(connection, twice) as planner:  # without the parser's refusal before it
        with pytest.raises(index_planner.NotPlanned, match="multiple commands"):
            planner.plan()
        with pytest.raises(Exception, match="read-only transaction"):
            connection.connection.execute(GONE)
    assert execute("SELECT count(*) FROM library_book") == [(ROWS,)]


@postgresql
def test_a_statement_that_locks_is_planned_without_its_locks(library):
    advice = advised(SQL + " FOR UPDATE")
    assert (advice.columns, advice.verified) == (("pages",), "HypoPG")
    assert "LockRows" in advice.plan_before


@postgresql
def test_the_begin_of_a_text_takes_its_operator_class(library):
    advice = advised(TITLED + "'title 77%%'")
    assert '("title" text_pattern_ops)' in advice.statement
    assert advice.meta_line.endswith('opclasses=["text_pattern_ops"])')
    for other in ("'%%77'", "%s", "'_7'"):
        assert advise_index("default", TITLED + other) is None


@postgresql
def test_a_function_of_a_column_is_indexed_as_such(library):
    queryset = BOOKS.filter(title__iexact="Title 7")
    advice = advised(sent(queryset))
    assert '(UPPER("title"))' in advice.statement
    assert advice.meta_line.startswith('models.Index(Upper("title"), name=')
    execute(advice.statement, "ANALYZE library_book")
    try:
        assert index_of(advice) in queryset.explain()
        assert advise_index("default", sent(queryset)) is None
    finally:
        execute(f'DROP INDEX "{index_of(advice)}"')


@postgresql
def test_a_table_that_was_never_analysed_is_sized_by_its_pages():
    execute("CREATE TABLE fresh (id bigint, kind bigint)")
    try:
        execute("INSERT INTO fresh SELECT i, i FROM generate_series(1, 20000) i")
        assert advise_index("default", "SELECT id FROM fresh WHERE kind = %s") is not None
    finally:
        execute("DROP TABLE fresh")


def test_odd_names_are_quoted(library):
    execute(f"{NUMBERS} {SHELVE}", "ANALYZE")
    advice = advised(sent(Shelfmark.objects.filter(mark="m7")))
    assert advice.columns == ("Shelf-No",)
    assert advice.meta_line.startswith('models.Index(fields=["mark"], name="')
    execute(advice.statement)
    execute(f'DROP INDEX "{index_of(advice)}"')
    assert Book.objects.count() == ROWS

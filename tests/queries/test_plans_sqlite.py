"""SQLite's plans, as this machine's SQLite says them."""

import sqlite3

import pytest

from optimizer.queries.engine.plans import MAX_TEXT_LENGTH, How, Read
from optimizer.queries.engine.plans_sqlite import read_plan

pytestmark = pytest.mark.any_database


@pytest.fixture(scope="module")
def database():
    found = sqlite3.connect(":memory:")
    found.executescript(
        """
        CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE "odd table" (id INTEGER PRIMARY KEY, "on (x=?)" INTEGER);
        CREATE TABLE book (
            id INTEGER PRIMARY KEY, title TEXT, author_id INTEGER, pages INTEGER, price INTEGER);
        CREATE INDEX by_pages ON book (pages, price);
        """
    )
    found.executemany("INSERT INTO author VALUES (?, ?)", [(n, f"n{n}") for n in range(500)])
    found.executemany(
        "INSERT INTO book VALUES (?, ?, ?, ?, ?)",
        [(n, f"t{n}", n % 500, n % 9, n % 7) for n in range(5000)],
    )
    yield found
    found.close()


def plan_of(database, sql):
    return read_plan(database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")))


def test_a_whole_table_and_its_alias(database):
    assert plan_of(database, "SELECT * FROM book").reads == (Read("book", How.SCAN),)
    assert plan_of(database, "SELECT * FROM book b").reads == (Read("b", How.SCAN),)
    assert plan_of(database, 'SELECT * FROM "odd table"').reads == (Read("odd table", How.SCAN),)


def test_an_index_with_what_it_looks_up(database):
    (read,) = plan_of(database, "SELECT * FROM book WHERE pages = ? AND price > ?").reads
    assert read == Read("book", How.INDEX, index="by_pages", equalities=1, bounds=1)
    (read,) = plan_of(database, "SELECT price FROM book WHERE pages BETWEEN ? AND ?").reads
    assert read == Read("book", How.INDEX, index="by_pages", bounds=2, is_covering=True)
    (read,) = plan_of(database, "SELECT * FROM book WHERE id = ?").reads
    assert (read.how, read.index, read.equalities) == (How.INDEX, "", 1)
    (read,) = plan_of(database, "SELECT pages FROM book").reads
    assert read == Read("book", How.SCAN, index="by_pages", is_covering=True)


def test_an_automatic_index(database):
    sql = "SELECT * FROM author a LEFT JOIN book b ON b.author_id = a.id WHERE a.name > ?"
    reads = plan_of(database, sql).reads
    assert [(read.name, read.how) for read in reads] == [("a", How.SCAN), ("b", How.AUTOMATIC)]


def test_what_is_sorted(database):
    def sorted_for(sql):
        plan = plan_of(database, sql)
        return plan.sorts, plan.groups

    assert sorted_for("SELECT * FROM book ORDER BY title") == (True, False)
    assert sorted_for("SELECT * FROM book ORDER BY id") == (False, False)
    assert sorted_for("SELECT price, pages FROM book ORDER BY pages, title") == (True, False)
    assert sorted_for("SELECT title, count(*) FROM book GROUP BY title") == (False, True)
    assert sorted_for("SELECT DISTINCT title FROM book") == (False, True)
    assert sorted_for("SELECT DISTINCT pages FROM book") == (False, False)


def test_subqueries_and_unions_read_tables_and_nothing_else(database):
    sql = (
        "SELECT * FROM (SELECT count(*) AS n FROM book UNION SELECT id FROM author) x, author "
        "WHERE author.id IN (SELECT author_id FROM book WHERE pages = ?) AND x.n IN (1, 2)"
    )
    assert {"book", "author"} <= {read.name for read in plan_of(database, sql).reads}
    assert plan_of(database, "SELECT 1").reads == ()


def test_the_text_is_indented_and_bounded(database):
    plan = plan_of(database, "SELECT * FROM author WHERE id IN (SELECT author_id FROM book)")
    assert "\nLIST SUBQUERY 1\n  SCAN book" in plan.text
    many = " UNION ALL ".join(["SELECT title FROM book"] * 300)
    assert len(plan_of(database, many).text) == MAX_TEXT_LENGTH


def test_what_older_versions_said():
    plan = read_plan(
        [
            (1, 0, 0, "SCAN TABLE book AS b"),
            (2, 0, 0, "SEARCH TABLE author USING INTEGER PRIMARY KEY (rowid=?)"),
        ]
    )
    assert [(read.name, read.how) for read in plan.reads] == [
        ("b", How.SCAN),
        ("author", How.INDEX),
    ]

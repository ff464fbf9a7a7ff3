"""What statements ask of their tables: handled, or refused, and never mistaken."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optimizer.queries.engine.asked import Dialect
from optimizer.queries.engine.conditions import read_statement
from optimizer.queries.engine.placeholders import numbered, question_marks

pytestmark = pytest.mark.any_database

LISTS = ("equal", "lists", "joined", "ranges", "bounds", "prefixes", "order", "group")


def written(key):
    if key.function:
        return f"{key.function}({key.column})"
    return "-" * key.is_descending + key.column


def asked_of(sql, dialect=Dialect.SQLITE):
    """Return what is asked, by alias: lists of columns, "-" before one that descends."""
    statement = read_statement(sql, dialect)
    assert statement is not None, sql
    found: dict[str, dict[str, Any]] = {}
    for one in statement.asked:
        said = found[one.alias] = {}
        for name in LISTS:
            keys = [written(key) for key in getattr(one, name)]
            if keys:
                said[name] = keys
        if one.has_others:
            said["others"] = True
        if one.limit is not None:
            said["limit"] = one.limit
    return found


ONE_TABLE = {
    "b.a = ? AND ? = b.c": {"equal": ["a", "c"]},
    '"b"."A b" = ? AND b.c IS NULL': {"equal": ["a b", "c"]},
    "a = ? AND (c = ? AND (d = ?))": {"equal": ["a", "c", "d"]},
    "a IN (?, ?)": {"lists": ["a"]},
    "a IN (SELECT o.x FROM other o WHERE o.y = ?)": {"lists": ["a"]},
    "a IN (SELECT x FROM other)": {"others": True},  # whose x is, cannot be told
    "a = ? OR a = ? OR a IN (?, ?)": {"lists": ["a"]},
    "a BETWEEN ? AND ?": {"ranges": ["a"]},
    "a > ? AND a <= ?": {"ranges": ["a"]},
    "a > ? AND ? > c": {"bounds": ["a", "c"]},
    "a = ? OR c = ?": {"others": True},
    "a = ? OR c IN (?) OR a > ?": {"others": True},
    "NOT a = ?": {"others": True},
    "NOT (a = ? AND c = ?)": {"others": True},
    "a <> ?": {"others": True},
    "a IS NOT NULL": {"others": True},
    "a NOT IN (?, ?)": {"others": True},
    "a = NULL": {"others": True},
    "a + 1 = ?": {"others": True},
    "upper(a) = ?": {"others": True},
    "CAST(a AS INTEGER) = ?": {"others": True},
    "a COLLATE NOCASE = ?": {"others": True},
    "a LIKE 'x%'": {"others": True},  # SQLite's LIKE has no case, its indexes have
    "a = c": {"others": True},
    "a > c": {"others": True},
    "a BETWEEN c AND ?": {"others": True},
    "a IN (c, ?)": {"others": True},
    "a IN (SELECT x FROM other WHERE other.y = b.c)": {"others": True},
    "a = (SELECT max(o.x) FROM other o)": {"equal": ["a"]},
    "a": {"others": True},
    "? = ?": {},
    "1": {},
}


@pytest.mark.parametrize("condition, asked", ONE_TABLE.items(), ids=ONE_TABLE)
def test_conditions_on_one_table(condition, asked):
    for start in ("SELECT *", "SELECT count(*)", "DELETE", "UPDATE b SET z = ?"):
        sql = " ".join([start, "WHERE" if "UPDATE" in start else "FROM b WHERE", condition])
        assert asked_of(sql)["b"] == asked, sql


POSTGRESQL = {
    "a = $1 AND b.C = $2": {"equal": ["a", "c"]},
    'a = $1 AND "C" = $2': {"equal": ["a", "C"]},
    "a = ANY($1)": {"lists": ["a"]},
    "a AND NOT c": {"equal": ["a"], "others": True},
    "a::text LIKE 'x%'": {"prefixes": ["TEXT(a)"]},
    "a LIKE '%x'": {"others": True},
    "a LIKE '_x'": {"others": True},
    "a LIKE $1": {"others": True},
    "a ILIKE 'x%'": {"others": True},
    "NOT a LIKE 'x%'": {"others": True},
    "UPPER(a::text) = UPPER($1)": {"equal": ["UPPER(a)"]},
    "UPPER(a::text) LIKE UPPER($1)": {"others": True},
    "LOWER(a) IN ($1, $2)": {"lists": ["LOWER(a)"]},
    "a::integer = $1": {"others": True},
    "a -> 'k' = $1": {"others": True},
    "a @> $1": {"others": True},
    "(a, c) = ($1, $2)": {"others": True},
    "(a, c) > ($1, $2)": {"others": True},
    "EXTRACT(year FROM a) = $1": {"others": True},
    "a AT TIME ZONE 'UTC' = $1": {"others": True},
    "a IS NOT DISTINCT FROM $1": {"others": True},
}


@pytest.mark.parametrize("condition, asked", POSTGRESQL.items(), ids=POSTGRESQL)
def test_conditions_of_postgresql(condition, asked):
    sql = " ".join(["SELECT * FROM b WHERE", condition])
    assert asked_of(sql, Dialect.POSTGRESQL) == {"b": asked}


def test_joins_and_aliases():
    assert asked_of(
        "SELECT * FROM book b INNER JOIN author AS T2 ON (b.author_id = T2.id) "
        "LEFT OUTER JOIN shop s ON (s.id = b.shop_id AND s.open = ? AND b.kind = ?) "
        "WHERE T2.name = ? AND b.pages > T2.age AND id = ?"
    ) == {
        "b": {"joined": ["author_id", "shop_id"][:1], "others": True},
        "t2": {"joined": ["id"], "equal": ["name"], "others": True},
        "s": {"joined": ["id"], "equal": ["open"], "others": True},
    }


def test_another_scopes_columns_are_known_values():
    assert asked_of(
        "SELECT * FROM book b WHERE EXISTS(SELECT 1 FROM review r WHERE r.book_id = b.id AND x = ?)"
    ) == {
        "b": {"others": True},
        "r": {"equal": ["book_id", "x"]},
    }
    assert asked_of(
        "WITH few AS (SELECT id FROM book WHERE pages = ?) "
        "SELECT * FROM few JOIN review r ON r.book_id = few.id WHERE stars = ?"
    ) == {"r": {"joined": ["book_id"], "others": True}, "book": {"equal": ["pages"]}}
    assert asked_of("SELECT * FROM (SELECT * FROM book WHERE pages = ?) x WHERE x.price = ?") == {
        "book": {"equal": ["pages"]}
    }
    assert asked_of("SELECT a FROM b WHERE c = ? UNION ALL SELECT d FROM e WHERE f = ?") == {
        "b": {"equal": ["c"]},
        "e": {"equal": ["f"]},
    }


def test_order():
    def order(rest, dialect=Dialect.SQLITE):
        sql = " ".join(["SELECT id, a AS x, a + 1 AS y FROM b", rest])
        (found,) = asked_of(sql, dialect).values()
        return found.get("order"), found.get("limit")

    assert order("ORDER BY b.a DESC, c LIMIT 5") == (["-a", "c"], 5)
    assert order("ORDER BY a LIMIT 5 OFFSET 10") == (["a"], 15)
    assert order("ORDER BY a LIMIT ?") == (["a"], 0)
    assert order("ORDER BY a LIMIT -1 OFFSET 5") == (["a"], None)
    assert order("ORDER BY 1, x DESC, x") == (["id", "-a"], None)
    assert order("ORDER BY y") == order("ORDER BY 3") == (None, None)
    assert order("ORDER BY a, a + 1 LIMIT 5") == (None, 5)
    assert order("ORDER BY a COLLATE NOCASE") == (None, None)
    assert order("ORDER BY a DESC NULLS FIRST") == (None, None)
    assert order("ORDER BY a DESC NULLS FIRST", Dialect.POSTGRESQL) == (["-a"], None)
    assert order("ORDER BY a DESC NULLS LAST", Dialect.POSTGRESQL) == (None, None)
    assert order("ORDER BY a NULLS FIRST", Dialect.POSTGRESQL) == (None, None)
    joined = asked_of("SELECT * FROM b JOIN c ON c.id = b.c_id ORDER BY b.x, c.y")
    assert "order" not in joined["b"] | joined["c"]


def test_groups():
    def group(sql):
        return asked_of(sql)["b"].get("group")

    assert group("SELECT a, c, count(*) FROM b GROUP BY a, 2 ORDER BY 3") == ["a", "c"]
    assert group("SELECT DISTINCT a FROM b ORDER BY a") == ["a"]
    assert group("SELECT DISTINCT a + 1 FROM b") is None
    assert group("SELECT DISTINCT * FROM b") is None
    assert group("SELECT count(*) FROM b GROUP BY a % 2") is None


REFUSED = (
    "", " ", "SELECT (", "INSERT INTO b SELECT * FROM c", "SELECT 1; SELECT 2", "DROP TABLE b",
    "SELECT 1; DROP TABLE b", "EXPLAIN SELECT 1", "SELECT * INTO c FROM b", "COPY b TO STDOUT",
    "WITH x AS (INSERT INTO b VALUES (1) RETURNING a) SELECT * FROM x", "PRAGMA optimize",
    "MERGE INTO b USING c ON b.a = c.a WHEN MATCHED THEN DELETE", "CALL work()", "BEGIN",
    "SELECT a FROM b WHERE " + "(" * 3000 + "a = 1" + ")" * 3000, "SELECT '" + "x" * 30_000 + "'",
)  # fmt: skip


@pytest.mark.parametrize("dialect", Dialect)
def test_what_is_refused(dialect):
    assert [sql[:60] for sql in REFUSED if read_statement(sql, dialect) is not None] == []


def test_what_is_unclear_is_left_alone():
    for sql in (
        "SELECT * FROM b RIGHT JOIN c ON b.x = c.x WHERE b.a = ?",
        "SELECT * FROM b NATURAL JOIN c WHERE b.a = ?",
        "SELECT * FROM b JOIN c USING (x) WHERE b.a = ?",
        "SELECT * FROM b, b WHERE a = ?",
    ):
        assert asked_of(sql) == {}, sql
    assert asked_of("SELECT * FROM b, c WHERE a = ?") == {
        "b": {"others": True},
        "c": {"others": True},
    }
    assert asked_of("SELECT * FROM json_each(?) AS j WHERE j.value = ?") == {}


VOCABULARY = """
    SELECT DELETE UPDATE FROM b c a x WHERE AND OR NOT = > < IN ( ) ? , * 'x%' NULL IS LIKE BETWEEN
    JOIN ON LEFT ORDER BY GROUP LIMIT 5 DESC EXISTS UNION WITH AS b.a c.x COUNT(*) ; "a" SET
    DISTINCT CASE WHEN THEN END ::text $1 -- /* FOR UPDATE
"""
WORDS = st.lists(st.sampled_from(VOCABULARY.split()), max_size=25)


@example(["DELETE", "NULL", "DESC"], "")
@given(WORDS, st.sampled_from(["", "SELECT * FROM b WHERE ", "SELECT a FROM b JOIN c ON "]))
def test_no_text_is_too_odd(words, start):
    for dialect in Dialect:
        found = read_statement(start + " ".join(words), dialect)
        assert found is None or all(one.table for one in found.asked)


def test_parameters():
    sql = """SELECT '100%', '%s', "odd%%" FROM b WHERE a = %s AND 'x%%' > b AND c %% 2 = %s"""
    expected = """SELECT '100%', '%s', "odd%" FROM b WHERE a = {} AND 'x%' > b AND c % 2 = {}"""
    assert question_marks(sql) == (expected.format("?", "?"), 2)
    assert numbered(sql) == (expected.format("$1", "$2"), 2)
    assert numbered("a = %(x)s AND b = %(y)s AND c = %(x)s") == ("a = $1 AND b = $2 AND c = $1", 2)
    assert numbered("LIKE '%session%'") == ("LIKE '%session%'", 0)

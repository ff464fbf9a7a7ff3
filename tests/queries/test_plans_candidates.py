"""Which indexes are proposed, and which of those tried are chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.queries.engine.asked import Dialect
from optimizer.queries.engine.candidates import LEAST_ROWS, Candidate, candidates
from optimizer.queries.engine.conditions import read_statement
from optimizer.queries.engine.plans import How, Index, Key, Plan, Read, Table
from optimizer.queries.engine.trials import Trial, choose, rows_read

pytestmark = pytest.mark.any_database

COLUMNS = {"id": "bigint", "a": "integer", "b": "integer", "c": "integer", "Name": "varchar(20)"}
PRIMARY = Index("", (Key("id"),), is_unique=True, is_constraint=True)
SCAN = Plan((Read("t", How.SCAN),))
SORT = Plan((Read("t", How.SCAN),), sorts=True)


def proposed(where, plan=SCAN, *, rows=20_000, indexes=(), dialect=Dialect.SQLITE):
    table = Table("t", COLUMNS, rows, (PRIMARY, *indexes))
    statement = read_statement(" ".join(["SELECT * FROM t", where]), dialect)
    assert statement is not None, where
    return candidates(plan, statement.asked, {("", "t"): table})


def columns(found):
    return {
        tuple("-" * key.is_descending + key.column for key in candidate.keys) for candidate in found
    }


def test_equality_comes_first_and_then_one_range():
    found = columns(proposed("WHERE a > ? AND a < ? AND b = ? AND c = ?"))
    assert {("b",), ("c",), ("b", "c"), ("b", "a"), ("c", "a"), ("b", "c", "a")} <= found
    assert not any(one[0] == "a" and len(one) > 1 for one in found)


def test_equality_comes_first_and_then_the_order():
    assert ("b", "-a", "c") in columns(proposed("WHERE b = ? ORDER BY a DESC, c LIMIT 5", SORT))
    assert ("-a",) in columns(proposed("ORDER BY a DESC LIMIT 5", SORT))


def test_a_list_or_another_condition_spoils_the_order():
    for where in ("WHERE b IN (?, ?)", "WHERE b <> ?", "WHERE b + 1 = ?", "WHERE b > ?"):
        found = columns(proposed(f"{where} ORDER BY a LIMIT 5", SORT))
        assert not any("a" in one for one in found), where
    assert ("a",) in columns(proposed("WHERE a > ? ORDER BY a LIMIT 5", SORT))


def test_what_is_healthy_or_small_or_unknown_gets_nothing():
    assert proposed("") == proposed("ORDER BY a LIMIT 5") == []
    assert proposed("WHERE a = ?", rows=LEAST_ROWS - 1) == []
    assert proposed("WHERE a = ?", Plan((Read("t", How.INDEX, index="x"),))) == []
    assert proposed("WHERE a = ?", Plan((Read("another", How.SCAN),))) == []
    assert proposed("WHERE nothing = ?") == []
    assert columns(proposed("WHERE nothing = ? AND a = ?")) == {("a",)}


def test_columns_are_written_as_the_table_has_them():
    assert columns(proposed("WHERE NAME = ?")) == {("Name",)}
    assert proposed("WHERE name = $1", dialect=Dialect.POSTGRESQL)  # quoted as the table has it


def test_a_function_is_taken_for_text_alone():
    def keys(where):
        return [one.keys for one in proposed(where, dialect=Dialect.POSTGRESQL)]

    assert keys('WHERE UPPER("Name"::text) = UPPER($1)') == [(Key("Name", function="UPPER"),)]
    assert keys('WHERE "Name"::text = $1') == [(Key("Name"),)]
    assert keys("WHERE a::text = $1") == keys("WHERE UPPER(a) = $1") == []
    assert keys("WHERE \"Name\"::text LIKE 'x%'") == [(Key("Name", operators="text_pattern_ops"),)]


def test_an_index_that_is_there_is_not_proposed_again():
    def with_index(where, *keys, plan=SCAN, **more):
        there = Index("there", tuple(Key(one.lstrip("-"), one[0] == "-") for one in keys), **more)
        return columns(proposed(where, plan, indexes=(there,)))

    assert with_index("WHERE a = ?", "a") == set()
    assert with_index("WHERE a = ?", "a", "b") == set()
    assert with_index("WHERE a = ?", "b", "a") == {("a",)}
    assert ("a", "b") not in with_index("WHERE a = ? AND b = ?", "b", "a")
    assert with_index("WHERE a = ?", "a", is_plain=False) == {("a",)}
    assert with_index("ORDER BY a DESC, b LIMIT 5", "a", "-b", plan=SORT) == set()
    assert ("-a", "b") in with_index("ORDER BY a DESC, b LIMIT 5", "a", "b", plan=SORT)
    assert with_index("WHERE a = ? AND b = ?", "a", is_unique=True) == set()


def test_an_index_that_becomes_superfluous_is_named():
    there = (
        Index("narrow", (Key("a"),)),
        Index("unique", (Key("a"),), is_unique=True, is_plain=False),
        Index("partial", (Key("a"),), is_plain=False),
        Index("other", (Key("b"),)),
        Index("of_a_constraint", (Key("a"),), is_constraint=True),
    )
    found = proposed("WHERE a = ? AND c = ?", indexes=there)
    assert {one.columns: one.redundant for one in found}["a", "c"] == ("narrow",)
    assert {one.columns: one.redundant for one in found}[("c",)] == ()


def trial(*keys, after, before=1000.0, is_used=True):
    table = Table("t", COLUMNS, 20_000)
    candidate = Candidate(table, tuple(map(Key, keys)), len(keys), "helps")
    return Trial(candidate, Plan(()), before, after, is_used)


def test_the_narrowest_that_brings_nearly_all_is_chosen():
    narrow, wide = trial("a", after=30), trial("a", "b", after=5)
    assert choose([wide, narrow]) is narrow
    poor = trial("a", after=300)
    assert choose([poor, wide]) is wide
    assert choose([trial("a", after=20), better := trial("b", after=9)]) is better


def test_an_index_that_brings_little_is_not_chosen():
    assert choose([trial("a", after=500)]) is not None
    assert choose([trial("a", after=501)]) is None
    assert choose([trial("a", after=1, is_used=False)]) is None
    assert choose([trial("a", after=1)], least_before=1001) is None
    assert choose([]) is None
    assert choose([trial("a", after=101)], write_share=0.51) is None
    assert choose([trial("a", after=100)], write_share=0.51) is not None
    assert choose([trial("a", after=0, before=0.0)]) is None


def test_work_of_a_plan_of_sqlite():
    tables = {"t": Table("t", COLUMNS, 20_000)}

    def work(*reads, limit=None, **plan):
        return rows_read(Plan(reads, **plan), tables, {"by_a": [40.0, 2.0]}, limit)

    assert work(Read("T", How.SCAN)) == 20_000
    assert work(Read("t", How.SCAN), sorts=True) == 40_000
    assert work(Read("t", How.AUTOMATIC)) == 40_000
    looked_up = Read("t", How.INDEX, index="by_a", equalities=1)
    assert work(looked_up) == 3 * 40
    assert work(looked_up, limit=5) == 3 * 5
    assert work(looked_up, limit=5, sorts=True) == 2 * 3 * 40
    assert work(Read("t", How.INDEX, index="by_a", equalities=2, is_covering=True)) == 2
    assert work(Read("t", How.INDEX, equalities=1, is_covering=True)) == 1
    assert work(Read("t", How.INDEX, index="unknown", bounds=1)) == 3 * 5000
    assert work(Read("elsewhere", How.SCAN)) == 0


CONDITIONS = st.lists(
    st.sampled_from(
        ["a = ?", "b IN (?, ?)", "c > ?", "c < ?", "gone = ?", "name LIKE ?", "a = b", "NOT a = ?",
         "b IS NULL", "(a = ? OR a = ?)", "(a = ? OR b = ?)", "id = ?", "u.a = ?",
         "t.c BETWEEN ? AND ?"]
    ),
    max_size=6,
)  # fmt: skip
ORDERS = st.sampled_from(["", "ORDER BY a", "ORDER BY b DESC, c LIMIT 5", "ORDER BY gone LIMIT 1"])
INDEXES = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))


@given(CONDITIONS, ORDERS, INDEXES, st.booleans())
def test_only_columns_of_the_table_each_once_and_none_that_an_index_leads_with(
    conditions, order, there, sorts
):
    where = f"WHERE {' AND '.join(conditions)} {order}" if conditions else order
    indexes = [Index(str(at), tuple(map(Key, keys))) for at, keys in enumerate(there)]
    for one in proposed(where, SORT if sorts else SCAN, indexes=indexes):
        assert set(one.columns) <= set(COLUMNS)
        assert len(set(one.columns)) == len(one.columns) <= 4
        assert list(one.columns) not in [keys[: len(one.keys)] for keys in there] or any(
            key.is_descending for key in one.keys
        )

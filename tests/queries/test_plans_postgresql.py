"""PostgreSQL's plans, as EXPLAIN (FORMAT JSON) documents them."""

import pytest

from optimizer.queries.engine.plans import How, Read
from optimizer.queries.engine.plans_postgresql import read_plan

pytestmark = pytest.mark.any_database


def node(kind, *below, cost=10.0, rows=5, **more):
    return {"Node Type": kind, "Total Cost": cost, "Plan Rows": rows, "Plans": below} | more


def plan_of(root):
    return read_plan([{"Plan": root}])


SCAN = node(
    "Seq Scan", cost=456, rows=20, Filter="(pages = $1)", Alias="b", **{"Relation Name": "book"}
)


def test_a_whole_table():
    plan = plan_of(SCAN)
    assert plan.reads == (Read("b", How.SCAN, table="book", rows=20, is_filtered=True),)
    assert plan.cost == 456
    assert plan.text == "Seq Scan on book b  (cost=456.00 rows=20)  Filter: (pages = $1)"


def test_an_index_also_below_a_bitmap():
    plain = node(
        "Index Only Scan", Alias="book", **{"Relation Name": "book", "Index Name": "by_pages"}
    )
    below = node("BitmapAnd", node("Bitmap Index Scan", **{"Index Name": "by_price"}))
    bitmap = node("Bitmap Heap Scan", below, Alias="book_1", **{"Relation Name": "book"})
    plan = plan_of(node("Nested Loop", plain, bitmap))
    assert [(read.name, read.how, read.index) for read in plan.reads] == [
        ("book", How.INDEX, "by_pages"),
        ("book_1", How.INDEX, "by_price"),
    ]
    assert [read.is_covering for read in plan.reads] == [True, False]
    assert plan.uses("by_price") and not plan.uses("by_title")


def test_what_is_sorted_or_grouped():
    ordered = plan_of(node("Limit", node("Incremental Sort", SCAN, **{"Sort Key": ["a", "b"]})))
    assert (ordered.sorts, ordered.groups) == (True, False)
    assert "Sort Key: a, b" in ordered.text
    grouped = plan_of(node("Aggregate", SCAN, **{"Group Key": ["a"]}))
    assert (grouped.sorts, grouped.groups) == (False, True)
    counted = plan_of(node("Aggregate", SCAN))
    assert (counted.sorts, counted.groups) == (False, False)


def test_texts_of_the_statement_are_not_in_the_plans_text():
    plan = plan_of(SCAN | {"Filter": "(title = 'O''Hara''s secret'::text)"})
    assert "secret" not in plan.text
    assert plan.text.endswith("Filter: (title = ?::text)")


@pytest.mark.parametrize("document", [[], [{}], [{"Plan": {}}], None, [{"Plan": [1]}]])
def test_what_is_no_plan(document):
    with pytest.raises(ValueError, match="no plan"):
        read_plan(document)

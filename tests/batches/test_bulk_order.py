"""Folding and sorting, without a database."""

from dataclasses import replace

import pytest

from optimizer.batches.engine import bulk_sql, bulk_sql_lite
from optimizer.batches.engine.bulk_sql import Column, Target
from optimizer.batches.engine.bulk_sql_order import fold, pick, sort

pytestmark = pytest.mark.any_database


def test_the_last_of_a_key_stays_sorted_by_key():
    assert fold([[3, 1, 3, 2]]) == [1, 3, 2]
    assert fold([["b", "a", "b"], [1, 1, 1]]) == [1, 2]
    assert fold([[]]) == []


def test_the_highest_sequence_stays_of_equal_ones_the_last():
    assert fold([[1, 1, 1, 2, 2]], [5, 9, 7, 3, 3]) == [1, 4]
    assert fold([[1, 1, 2, 2]], [None, 0, 1, None]) == [1, 2]
    assert fold([[1, 1]], [None, None]) == [1]


def test_none_equals_nothing_unless_told():
    assert fold([[1, 1, None, 1], [None, None, None, 2]]) == [3, 2, 0, 1]
    assert fold([[1, 1, 2], [None, None, 1]], nulls_distinct=False) == [1, 2]
    assert fold([[None, None]], nulls_distinct=False) == [1]


def test_what_has_no_order_or_no_hash_still_has_one_order():
    assert fold([["b", 1, "a"]]) == [1, 2, 0]
    assert fold([[[2], [1], [2]]]) == [1, 2]
    assert sort([[2, None, 1]]) == sort([[2, None, 1]])
    assert [["x", None, "a"][one] for one in sort([["x", None, "a"]])] == [None, "a", "x"]


def test_sorting_keeps_equal_ones_as_they_came():
    assert sort([[2, 1, 2, 1]]) == [1, 3, 0, 2]
    assert pick("abcd", [3, 1]) == ["d", "b"]
    assert pick("abcd", [2]) == ["c"]
    assert pick("abcd", []) == []


TARGET = Target(
    '"t able"',
    (Column('"id"', "bigint"), Column('"data"', "json"), Column('"seen"', "date")),
    keys=(0,),
    updates=(1,),
    touched=(2,),
)


def test_touched_columns_are_set_but_not_compared():
    said = bulk_sql.upsert(TARGET, bulk_sql.STAGED)
    assert 'SET "data" = EXCLUDED."data", "seen" = EXCLUDED."seen" WHERE' in said
    assert said.endswith('WHERE (t."data"::text IS DISTINCT FROM EXCLUDED."data"::text)')
    column = Column('"data"', "text")
    target = replace(TARGET, columns=(TARGET.columns[0], column, TARGET.columns[2]))
    assert bulk_sql_lite.update(target) == (
        'UPDATE "t able" AS t SET "data" = ?2, "seen" = ?3 '
        'WHERE t."id" = ?1 AND (t."data" IS NOT ?2)'
    )

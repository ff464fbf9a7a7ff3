"""MongoDB's explain, and the index that follows from it, on documents as the manual has them."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from optimizer.queries.engine.mongo_plans import keys_for, query_of, read_explain, serves
from optimizer.queries.services.mongo_indexes import idle_indexes

pytestmark = pytest.mark.any_database


def keys(conditions, **more):
    query = query_of({"find": "books", "filter": conditions} | more)
    assert query is not None
    return keys_for(query)


def test_equality_then_sort_then_range():
    assert keys({"a": 1, "b": {"$gt": 2}}, sort={"c": -1}) == (("a", 1), ("c", -1), ("b", 1))
    assert keys({"b": {"$gt": 2}, "a": {"$eq": 1}}) == (("a", 1), ("b", 1))
    assert keys({"a": {"$in": [1, 2]}, "b": 1}, sort={"c": 1}) == (("b", 1), ("c", 1), ("a", 1))
    assert keys({"a": {"$in": [1]}}) == (("a", 1),)
    assert keys({"a.b": {"x": 1, "y": 2}}) == (("a.b", 1),)
    assert keys({"$and": [{"a": 1}, {"b": {"$lt": 3, "$gte": 1}}]}) == (("a", 1), ("b", 1))
    assert keys({"a": re.compile("^begin")}) == (("a", 1),)


def test_an_order_alone_needs_a_limit_and_no_other_condition():
    assert keys({}, sort={"a": -1}, limit=5) == (("a", -1),)
    assert keys({}, sort={"a": -1}) == ()
    assert keys({"b": {"$ne": 1}}, sort={"a": -1}, limit=5) == ()
    assert keys({}, sort={"score": {"$meta": "textScore"}}, limit=5) == ()


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"_id": 3, "a": 1},
        {"$or": [{"a": 1}, {"b": 1}]},
        {"a": {"$ne": 1}},
        {"a": {"$exists": True}},
        {"a": {"$not": {"$gt": 1}}},
        {"a": {"$elemMatch": {"b": 1}}},
        {"a": {"$gt": 1, "$ne": 2}},
        {"a": re.compile("end$")},
        {"a": re.compile("^begin", re.IGNORECASE)},
        {"a": {"$regex": "x"}},
        {"$expr": {"$eq": ["$a", "$b"]}},
        {"$where": "this.a == 1"},
        {"$text": {"$search": "x"}},
    ],
)
def test_what_no_index_surely_serves(conditions):
    assert keys(conditions) == ()


def test_every_command_that_looks_for_something():
    def found(command):
        query = query_of(command)
        return query and (keys_for(query), query.is_write)

    by_a = (("a", 1),)
    assert found({"count": "b", "query": {"a": 1}}) == (by_a, False)
    assert found({"distinct": "b", "key": "x", "query": {"a": 1}}) == (by_a, False)
    assert found({"findAndModify": "b", "query": {"a": 1}, "update": {}}) == (by_a, True)
    assert found({"update": "b", "updates": [{"q": {"a": 1}, "u": {}}]}) == (by_a, True)
    assert found({"delete": "b", "deletes": [{"q": {"a": 1}, "limit": 0}]}) == (by_a, True)
    assert found({"delete": "b", "deletes": [{"q": {"a": 1}}, {"q": {"c": 1}}]}) is None
    assert found({"insert": "b", "documents": [{}]}) is None
    assert found({"aggregate": 1, "pipeline": []}) is None
    assert found({"hello": 1}) is found({}) is None
    match, sort = {"$match": {"a": 1}}, {"$sort": {"c": 1}}
    assert found({"aggregate": "b", "pipeline": [match, sort]}) == ((("a", 1), ("c", 1)), False)
    group = {"$group": {"_id": "$x"}}
    assert found({"aggregate": "b", "pipeline": [group, match]}) == ((), False)
    assert found({"aggregate": "b", "pipeline": [sort, {"$limit": 3}]}) == ((("c", 1),), False)


def test_an_index_that_serves_already():
    wanted = (("a", 1), ("b", 1), ("c", -1))
    assert serves((("b", 1), ("a", -1), ("c", 1), ("d", 1)), wanted, 2)
    assert not serves((("a", 1), ("c", -1), ("b", 1)), wanted, 2)
    assert not serves((("a", 1),), wanted, 2)


SCAN = {"stage": "COLLSCAN", "filter": {"a": {"$eq": "secret"}}, "direction": "forward"}


def test_explain_of_a_scan_that_is_sorted():
    plan = read_explain(
        {
            "queryPlanner": {"winningPlan": {"stage": "SORT", "inputStage": SCAN}},
            "executionStats": {"totalDocsExamined": 5000, "nReturned": 50},
        }
    )
    assert (plan.is_scan, plan.is_sorted) == (True, True)
    assert (plan.examined, plan.returned) == (5000, 50)
    assert plan.text == "SORT\n  COLLSCAN"


def test_explain_of_the_other_engine_of_shards_and_of_pipelines():
    index = {"stage": "FETCH", "inputStage": {"stage": "IXSCAN", "indexName": "a_1"}}
    shards = {"stage": "SHARD_MERGE", "shards": [{"winningPlan": {"queryPlan": index}}]}
    plan = read_explain({"queryPlanner": {"winningPlan": shards}})
    assert plan.text == "SHARD_MERGE\n  FETCH\n    IXSCAN a_1"
    assert (plan.is_scan, plan.is_sorted, plan.examined) == (False, False, None)
    cursor = {"$cursor": {"queryPlanner": {"winningPlan": SCAN}}}
    plan = read_explain({"stages": [cursor, {"$sort": {"sortKey": {"b": 1}}}]})
    assert (plan.is_scan, plan.is_sorted) == (True, True)


@pytest.mark.parametrize(
    "document", [{}, {"ok": 1}, {"queryPlanner": {}}, {"queryPlanner": {"winningPlan": {}}}]
)
def test_a_server_that_does_not_explain(document):
    with pytest.raises(ValueError, match="explains nothing"):
        read_explain(document)


def test_indexes_that_nobody_uses():
    since = datetime(2024, 5, 1, tzinfo=UTC)

    def counted(name, ops, start=since):
        return {"name": name, "accesses": {"ops": ops, "since": start}}

    there: dict[str, dict[str, object]] = {
        "_id_": {},
        "once": {"unique": True},
        "ttl": {"expireAfterSeconds": 60},
    }
    stats = [counted(name, 0) for name in (*there, "idle", "on_one", "naive")]
    stats += [
        counted("used", 3),
        counted("on_one", 1),  # on another member
        counted("young", 0, since + timedelta(days=1)),
        counted("unknown", 0, None),
        counted("naive", 0, since.replace(tzinfo=None)),
        {"name": "odd"},
    ]
    assert idle_indexes(stats, there, since) == ("idle", "naive")

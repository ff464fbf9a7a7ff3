"""Shapes of MongoDB commands: what they show, what they fold, and that no value is in them."""

import re
from datetime import UTC, datetime

import bson
import pytest
from bson import SON, Binary, Decimal128, Int64, ObjectId, Regex
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from optimizer.queries.engine.fingerprint import Verb
from optimizer.queries.engine.hyperloglog import hash_of
from optimizer.queries.engine.mongo_commands import filter_of
from optimizer.queries.engine.mongo_shape import mongo_shape, read_command
from optimizer.queries.engine.mongo_text import MAX_TEXT_LENGTH

pytestmark = pytest.mark.any_database

NOW = datetime.now(UTC)


def find(filter_, **more):
    return mongo_shape("bot", "find", {"find": "books", "filter": filter_, **more})


def aggregate(*stages):
    return mongo_shape("bot", "aggregate", {"aggregate": "books", "pipeline": list(stages)})


def update(*statements):
    return mongo_shape("bot", "update", {"update": "books", "updates": list(statements)})


COUNT = {"$group": {"_id": 1, "n": {"$sum": 1}}}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            {"find": "books", "filter": {"author": "x", "year": {"$gt": 3}}, "sort": {"year": 1}},
            "db.books.find({author: ?, year: {$gt: ?}}).sort({year: 1})",
        ),
        (
            {"find": "books", "filter": {"_id": 1}, "limit": 1, "projection": {"title": True}},
            "db.books.findOne({_id: ?}, {title: 1})",
        ),
        ({"find": "books", "skip": 20, "limit": 10}, "db.books.find({}).skip(?).limit(?)"),
        (
            {"find": "books", "filter": {"a": {"b": "document"}, "c": {"$elemMatch": {"d": 1}}}},
            "db.books.find({a: ?, c: {$elemMatch: {d: ?}}})",
        ),
        (
            {"find": "books", "filter": {"$or": [{"a": 1}, {"a": 2}, {"b": {"$not": {"$gt": 1}}}]}},
            "db.books.find({$or: [{a: ?}+, {b: {$not: {$gt: ?}}}]})",
        ),
        (
            {"find": "books", "filter": {"$expr": {"$gt": ["$spent", {"$add": ["$budget", 5]}]}}},
            "db.books.find({$expr: {$gt: [$spent, {$add: [$budget, ?]}]}})",
        ),
        ({"find": "books", "filter": {"scores.42.n": 1}}, "db.books.find({scores.?.n: ?})"),
        (
            {"aggregate": "books", "pipeline": [{"$match": {"author": 3}}, COUNT]},
            "db.books.countDocuments({author: ?})",
        ),
        (
            {
                "aggregate": "books",
                "pipeline": [
                    {"$match": {"year": {"$in": [1, 2]}}},
                    {"$lookup": {"from": "a", "localField": "b", "foreignField": "_id", "as": "c"}},
                    {"$set": {"note": {"$literal": "$secret"}}},
                    {"$sort": {"year": -1}},
                ],
            },
            "db.books.aggregate([{$match: {year: {$in: [?+]}}}, {$lookup: {from: a, localField: b, "
            "foreignField: _id, as: c}}, {$set: {note: {$literal: ?}}}, {$sort: {year: -1}}])",
        ),
        ({"count": "books"}, "db.books.estimatedDocumentCount()"),
        ({"count": "books", "query": {"a": 1}}, "db.books.count({a: ?})"),
        ({"distinct": "books", "key": "genre", "query": {}}, "db.books.distinct(genre, {})"),
        ({"insert": "books", "documents": [{"secret": 1}]}, "db.books.insertOne(?)"),
        ({"insert": "books", "documents": [{}, {}]}, "db.books.insertMany([?+])"),
        (
            {"update": "books", "updates": [{"q": {"_id": 1}, "u": {"$set": {"a": 1}}}]},
            "db.books.updateOne({_id: ?}, {$set: {a: ?}})",
        ),
        (
            {"update": "b", "updates": [{"q": {}, "u": [{"$set": {"a": "$b"}}], "multi": True}]},
            "db.b.updateMany({}, [{$set: {a: $b}}])",
        ),
        (
            {"update": "books", "updates": [{"q": {"_id": 1}, "u": {"a": 1}, "upsert": True}] * 2},
            "db.books.bulkWrite([replaceOne({_id: ?}, ?, {upsert: true})+])",
        ),
        ({"delete": "b", "deletes": [{"q": {"a": 1}, "limit": 1}]}, "db.b.deleteOne({a: ?})"),
        ({"delete": "b", "deletes": [{"q": {"a": 1}, "limit": 0}]}, "db.b.deleteMany({a: ?})"),
        (
            {
                "findAndModify": "b",
                "query": {"s": 1},
                "update": {"$set": {"s": 2}},
                "sort": {"n": 1},
            },
            "db.b.findOneAndUpdate({s: ?}, {$set: {s: ?}}).sort({n: 1})",
        ),
        (
            {"findAndModify": "b", "query": {"s": 1}, "remove": True},
            "db.b.findOneAndDelete({s: ?})",
        ),
        ({"bulkWrite": 1, "ops": [{}, {}], "nsInfo": [{"ns": "bot.b"}]}, "client.bulkWrite([?+])"),
        ({"ping": 1}, "ping()"),
    ],
)
def test_a_command_is_shown_as_people_write_it(command, text):
    assert mongo_shape("bot", next(iter(command)), command).text == text


def test_values_do_not_tell_shapes_apart_and_structure_does():
    first = find({"author": ObjectId(), "year": {"$gt": 1}})
    assert find({"author": None, "year": {"$gt": NOW}}) == first
    assert find({"author": [1, 2], "year": {"$gt": 1}}).fingerprint == first.fingerprint
    others = [
        find({"author": 1}),
        find({"author": 1, "year": {"$gte": 1}}),
        find({"author": 1, "year": {"$gt": 1}}, sort={"year": 1}),
        find({"author": 1, "year": {"$gt": 1}}, limit=1),
        mongo_shape(
            "other", "find", {"find": "books", "filter": {"author": 1, "year": {"$gt": 1}}}
        ),
        mongo_shape("bot", "find", {"find": "b", "filter": {"author": 1, "year": {"$gt": 1}}}),
    ]
    assert len({one.fingerprint for one in [first, *others]}) == 7


def test_tables_and_verbs():
    assert find({}).tables == ("bot.books",)
    joined = aggregate({"$lookup": {"from": "authors", "as": "a"}}, {"$unionWith": {"coll": "old"}})
    assert joined.tables == ("bot.books", "bot.authors", "bot.old")
    bulk = {"bulkWrite": 1, "ops": [{}], "nsInfo": [{"ns": "bot.a"}, {"ns": "bot.b"}]}
    assert mongo_shape("admin", "bulkWrite", bulk).tables == ("bot.a", "bot.b")
    verbs = {
        "find": Verb.SELECT, "aggregate": Verb.SELECT, "count": Verb.SELECT,
        "distinct": Verb.SELECT, "insert": Verb.INSERT, "update": Verb.UPDATE,
        "delete": Verb.DELETE, "findAndModify": Verb.UPDATE, "hello": Verb.CONTROL,
        "getMore": Verb.CONTROL, "killCursors": Verb.CONTROL, "commitTransaction": Verb.CONTROL,
        "endSessions": Verb.CONTROL, "ping": Verb.CONTROL, "someFuture": Verb.OTHER,
    }  # fmt: skip
    for name, verb in verbs.items():
        assert mongo_shape("bot", name, {name: "b", "pipeline": [], "key": "a"}).verb is verb, name
    assert find({}, tailable=True).verb is Verb.CONTROL
    assert aggregate({"$changeStream": {}}).verb is Verb.CONTROL


@pytest.mark.parametrize(
    ("shape", "is_batch", "is_page"),
    [
        (find({"_id": {"$in": [1, 2]}}), True, False),
        (find({"_id": {"$in": (1, 2)}}), True, False),
        (find({"_id": {"$in": [1]}}), False, False),
        (find({"_id": {"$nin": [1, 2]}}), False, False),
        (find({"tags": {"$all": [1, 2]}}), False, False),
        (find({"$or": [{"a": 1}, {"a": 2}]}), True, False),
        (find({"$or": [{"a": 1}, {"b": 2}]}), False, False),
        (find({"$and": [{"a": 1}, {"a": 1}]}), False, False),
        (find({}, skip=10, limit=10), False, True),
        (find({"_id": {"$gt": 3}}, limit=10), False, True),
        (find({"_id": {"$gt": 3}}, limit=1), False, False),
        (find({"a": 3}, limit=10), False, False),
        (aggregate({"$match": {"a": 1}}, COUNT), False, False),
        (aggregate({"$match": {}}, COUNT), True, False),
        (aggregate(COUNT), True, False),
        (aggregate({"$match": {"a": 1}}, {"$skip": 3}), False, True),
        (aggregate({"$match": {"a": {"$lt": 1}}}, {"$limit": 3}), False, True),
        (aggregate({"$match": {"a": {"$lt": 1}}}, {"$limit": 1}), False, False),
        (aggregate({"$match": {"$expr": {"$in": ["$_id", [1, 2]]}}}), True, False),
        (update({"q": {"a": 1}, "u": {"$set": {"b": 1}}, "multi": True}), False, False),
        (update({"q": {"a": 1}, "u": {}}, {"q": {"a": 2}, "u": {}}), True, False),
    ],
)
def test_batches_and_pages_are_told_from_loops(shape, is_batch, is_page):
    assert (shape.is_batch, shape.is_page) == (is_batch, is_page)


def test_a_document_that_is_taken_from_a_queue_is_locked_and_one_that_is_named_is_not():
    taken = {"findAndModify": "q", "query": {"status": "new"}, "update": {"$set": {"status": 1}}}
    assert mongo_shape("bot", "findAndModify", taken).is_locking
    named = {**taken, "query": {"_id": 3}}
    assert not mongo_shape("bot", "findAndModify", named).is_locking


def test_kinds_of_mappings_and_lists_that_drivers_have():
    raw = RawBSONDocument(bson.encode({"a": {"$in": [1, 2]}}))
    assert find(SON([("a", SON([("$gt", 1)]))])).text == "db.books.find({a: {$gt: ?}})"
    assert find(raw).text == "db.books.find({a: {$in: [?+]}})"
    assert filter_of("aggregate", {"pipeline": [{"$match": {"a": 1}}]}) == {"a": 1}
    assert filter_of("delete", {"deletes": [{"q": {"a": 1}}]}) == {"a": 1}
    assert filter_of("insert", {"documents": [{}]}) == {}
    assert filter_of("find", {"filter": "nonsense"}) == {}


def values_of(filter_):
    return hash_of(read_command("bot", "find", {"find": "books", "filter": filter_})[1])


def test_the_hash_of_values_tells_any_values_apart_and_finds_equal_ones():
    same = ObjectId()
    different = [
        same, ObjectId(), 1, 2, "1", None, NOW, b"1", Int64(9), Decimal128("1.5"), Regex("a"),
        Binary(b"x", 4), [1], [2], {"b": [1, {"c": same}]}, {"b": [1, {"c": ObjectId()}]}, {1, 2},
    ]  # fmt: skip
    assert len({values_of({"a": one}) for one in different}) == len(different)
    for one in different:
        assert values_of({"a": one, "b": {"$in": [1, one]}}) == values_of(
            {"a": one, "b": {"$in": [1, one]}}
        )
    wide = {f"n{n}": n for n in range(500)}
    assert values_of(wide) != values_of({**wide, "n499": "another"})


SECRET = "Secret"
NAMES = st.sampled_from(
    [
        "a",
        "b.c",
        "_id",
        "$and",
        "$or",
        "$in",
        "$nin",
        "$gt",
        "$expr",
        "$not",
        "$elemMatch",
        "$literal",
        "$match",
        "$group",
        "$set",
        "from",
        "$$x",
        "$",
        "$lookup",
        "pipeline",
        "$sort",
        "$limit",
        "$skip",
        "$project",
        "as",
        "{",
        "}",
        "[",
        "?",
        "+",
        "$meta",
        "path",
    ]
)
VALUES = st.one_of(
    st.integers(10**9, 10**12),
    st.text(max_size=3).map(lambda end: f"{SECRET} {end}"),
    st.just(f"${SECRET}! not a path"),
    st.none(),
    st.booleans(),
    st.floats(10**9, 10**12),
    st.builds(ObjectId, st.binary(min_size=12, max_size=12)),
    st.datetimes().map(str).map(lambda text: f"{SECRET} at {text}"),
    st.binary(max_size=4),
    st.builds(object),
)
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.integers(10**9, 10**10), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=25,
)
PARTS = [
    "filter",
    "query",
    "pipeline",
    "documents",
    "updates",
    "deletes",
    "sort",
    "projection",
    "limit",
    "skip",
    "key",
    "update",
    "ops",
    "nsInfo",
    "tailable",
    "upsert",
    "remove",
    "q",
    "u",
]
COMMANDS = st.dictionaries(st.sampled_from(PARTS), DOCUMENTS, max_size=6)
COMMAND_NAMES = st.sampled_from(
    [
        "find",
        "aggregate",
        "count",
        "distinct",
        "insert",
        "update",
        "delete",
        "findAndModify",
        "bulkWrite",
        "getMore",
        "x",
    ]
)


@given(COMMAND_NAMES, COMMANDS, st.lists(DOCUMENTS, max_size=3))
def test_no_command_is_refused_and_no_value_shown(name, command, several):
    command = {name: "books", **command}
    for part in ("pipeline", "updates", "deletes", "documents"):
        if several:
            command[part] = [
                {"q": one, "u": one} if part in ("updates", "deletes") else one for one in several
            ]
    if "key" in command:
        command["key"] = "genre"  # whose place is a name's
    shape, values = read_command("bot", name, command)
    assert SECRET not in shape.text + "".join(shape.tables)
    assert not re.search(r"\d{9}", shape.text)
    assert len(shape.text) <= MAX_TEXT_LENGTH
    assert (shape.fingerprint, values) == (mongo_shape("bot", name, command).fingerprint, values)
    hash_of(values)


def test_deep_wide_long_and_circular_commands_have_bounded_texts():
    deep: dict[str, object] = {"a": 1}
    for _ in range(5000):
        deep = {"$not": deep}
    circular: dict[str, object] = {}
    circular["$and"] = [circular, circular]
    wide = {f"field{number}x": {"$gt": number} for number in range(20_000)}
    for filter_ in (deep, circular, wide, {"n" * 10_000: 1}, {"$and": [wide, wide]}):
        shape, values = read_command("bot", "find", {"find": "books", "filter": filter_})
        assert len(shape.text) < 1000
        hash_of(values)
    assert len(find({f"{'n' * 70}{number}": 1 for number in range(39)}).text) <= MAX_TEXT_LENGTH

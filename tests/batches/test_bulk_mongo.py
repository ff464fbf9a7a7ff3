"""Bulk writes of documents, against a server that speaks MongoDB's protocol."""

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from optimizer.batches.services.bulk import Written
from optimizer.batches.services.bulk_mongo import (
    MongoRejected,
    mongo_delete,
    mongo_insert,
    mongo_update,
    mongo_upsert,
)

pytestmark = pytest.mark.any_database


@pytest.fixture
def players(mongo_url):
    client: MongoClient[dict]
    with MongoClient(mongo_url) as client:
        collection: Collection[dict] = client.bulk.players
        collection.drop()
        collection.create_index("user", unique=True)
        yield collection


def stored(collection, *names):
    found = collection.find({}, {"_id": False}).sort("user")
    return [tuple(document.get(name) for name in names) for document in found]


def documents(*users, **more):
    return [{"user": user, "name": f"n{user}"} | more for user in users]


def test_upsert_folds_inserts_and_updates(players):
    assert mongo_upsert(players, documents(2, 1), ["user"]) == Written(2, 0, 2, 1)
    rows = [*documents(2, name="x"), *documents(3), *documents(2, name="last")]
    assert mongo_upsert(players, rows, ["user"]) == Written(2, 1, 2, 1)
    assert stored(players, "user", "name") == [(1, "n1"), (2, "last"), (3, "n3")]
    assert mongo_upsert(players, rows, ["user"]).changed == 0


def test_update_fields(players):
    mongo_upsert(players, documents(1, score=1), ["user"])
    mongo_upsert(players, documents(1, 2, name="new", score=5), ["user"], ["score"])
    assert stored(players, "user", "name", "score") == [(1, "n1", 5), (2, "new", 5)]
    assert mongo_upsert(players, documents(2, 3, score=9), ["user"], []).changed == 1
    assert stored(players, "user", "score") == [(1, 5), (2, 5), (3, 9)]
    assert (
        mongo_update(players, documents(1, 4, name="u", score=0), ["user"], ["name"]).changed == 1
    )
    assert stored(players, "user", "name", "score")[0] == (1, "u", 5)
    assert mongo_upsert(players, [{"user": 7}], ["user"]).changed == 1


@pytest.mark.parametrize("ordered", [False, True])
def test_the_sequence_guards_against_stale_writes(players, ordered):
    players.insert_one({"user": 9, "name": "without"})
    guard = {"sequence_field": "seq", "ordered": ordered}
    rows = [*documents(1, seq=5), *documents(1, seq=7, name="seven"), *documents(1, seq=6)]
    assert mongo_upsert(players, rows, ["user"], **guard) == Written(1, 2, 1, 1)
    rows = [
        *documents(1, seq=7, name="same"),
        *documents(2, seq=1),
        *documents(9, seq=1, name="with"),
    ]
    assert mongo_upsert(players, rows, ["user"], **guard).changed == 2
    assert stored(players, "user", "name", "seq") == [(1, "seven", 7), (2, "n2", 1), (9, "with", 1)]
    assert mongo_update(players, documents(1, 2, seq=2, name="u"), ["user"], **guard).changed == 1
    assert mongo_update(players, documents(1, seq=None), ["user"], **guard).changed == 0
    assert stored(players, "user", "name") == [(1, "seven"), (2, "u"), (9, "with")]


@pytest.mark.parametrize(("ordered", "expected"), [(False, [1, 2, 3, 4]), (True, [1, 2, 3])])
def test_refused_documents_are_named(players, ordered, expected):
    mongo_insert(players, documents(2))
    rows = [*documents(1, 3), *documents(2, name="again"), *documents(4)]
    with pytest.raises(MongoRejected, match="document 2: .*duplicate key") as caught:
        mongo_insert(players, rows, ordered=ordered, chunk_size=3)
    assert list(caught.value.refused) == [2]
    assert caught.value.written.changed == len(expected) - 1
    assert [user for (user,) in stored(players, "user")] == expected


def test_positions_are_those_of_the_call_after_folding_and_sorting(players):
    players.create_index("name", unique=True)
    mongo_insert(players, documents(1))
    rows = [*documents(9), *documents(5), *documents(5, name="n1"), *documents(3)]
    with pytest.raises(MongoRejected) as caught:
        mongo_upsert(players, rows, ["user"], chunk_size=1)
    assert list(caught.value.refused) == [2]
    assert caught.value.written == Written(3, 1, 2, 3)


def test_delete_and_chunks(players):
    assert mongo_insert(players, documents(*range(25)), chunk_size=10) == Written(25, 0, 25, 3)
    found = mongo_delete(players, documents(1, 2, 2, 99), ["user"], chunk_size=2)
    assert found == Written(3, 1, 2, 2)
    assert players.count_documents({}) == 23


def test_nothing_and_what_is_wrong(players):
    for found in (mongo_insert(players, []), mongo_upsert(players, iter(()), ["user"])):
        assert found == Written(0, 0, 0, 0)
    with pytest.raises(ValueError, match="document 1 has no 'user'"):
        mongo_upsert(players, [{"user": 1}, {"name": "a"}], ["user"])
    with pytest.raises(ValueError, match="document 0 has no 'seq'"):
        mongo_update(players, documents(1), ["user"], sequence_field="seq")
    with pytest.raises(ValueError, match="name the fields"):
        mongo_delete(players, documents(1), [])

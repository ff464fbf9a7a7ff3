"""Index advice against a server that speaks MongoDB's protocol: what is advised is then used."""

from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from optimizer.queries.engine.mongo_plans import read_explain
from optimizer.queries.services.mongo_indexes import advise_mongo_index, unused_indexes

pytestmark = pytest.mark.any_database

BY_AUTHOR = {"find": "books", "filter": {"author": 3}}


@pytest.fixture(scope="module")
def filled(mongo_url):
    client: MongoClient[Any]
    with MongoClient(mongo_url) as client:
        database: Database[Any] = client["advice"]
        database["books"].insert_many(
            {"author": n % 100, "pages": n, "kind": n % 2} for n in range(3000)
        )
        database["few"].insert_many({"author": n} for n in range(10))
        yield database
        client.drop_database("advice")


@pytest.fixture
def database(filled):
    yield filled
    filled["books"].drop_indexes()


def advised(database, command, **options):
    advice = advise_mongo_index(database, command, **options)
    assert advice is not None
    return advice


COMMANDS = (
    BY_AUTHOR,
    BY_AUTHOR | {"lsid": {"id": 1}, "$db": "advice", "readConcern": {"level": "local"}},
    {"count": "books", "query": {"author": 3}},
    {"distinct": "books", "key": "pages", "query": {"author": 3}},
    {"aggregate": "books", "pipeline": [{"$match": {"author": 3}}], "cursor": {}},
    {"update": "books", "updates": [{"q": {"author": 3}, "u": {"$set": {"kind": 9}}}]},
    {"delete": "books", "deletes": [{"q": {"author": 3}, "limit": 0}]},
    {"findAndModify": "books", "query": {"author": 3}, "update": {"$set": {"kind": 9}}},
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: next(iter(one)))
def test_what_is_advised_is_used_once_it_is_made(database, command):
    advice = advised(database, command)
    assert advice.keys == (("author", 1),)
    assert advice.statement == 'database["books"].create_index([("author", 1)])'
    assert "COLLSCAN" in advice.plan_before
    assert database["books"].count_documents({"kind": 9}) == 0  # nothing was written
    assert database["books"].count_documents({}) == 3000
    eval(advice.statement, {"database": database})  # noqa: S307  # as one pastes it
    assert advise_mongo_index(database, command) is None
    explained = database.command({"explain": BY_AUTHOR, "verbosity": "queryPlanner"})
    assert not read_explain(explained).is_scan


def test_it_counts_documents_of_reads_alone(database):
    advice = advised(database, BY_AUTHOR)
    assert (advice.examined, advice.returned) == (3000, 30)
    assert "3,000 documents for 30 returned" in advice.reason
    assert advised(database, BY_AUTHOR, may_run=False).examined is None
    assert advised(database, COMMANDS[-1]).examined is None


def test_it_names_what_becomes_superfluous(database):
    database["books"].create_index([("kind", 1)], name="narrow")
    command = {"find": "books", "filter": {"kind": 1}, "sort": {"pages": -1}, "limit": 5}
    advice = advised(database, command)
    assert advice.keys == (("kind", 1), ("pages", -1))
    assert advice.drops == ("narrow",)


@pytest.mark.parametrize(
    "command",
    [
        {"find": "books", "filter": {}},
        {"find": "books", "filter": {"kind": 1}},  # half of all
        {"find": "books", "filter": {"_id": 1}},
        {"find": "few", "filter": {"author": 1}},
        {"find": "nowhere", "filter": {"author": 1}},
        {"find": "books", "filter": {"author": 3}, "no such option": 1, "hint": {"no": 1}},
        {"insert": "books", "documents": [{}]},
    ],
)
def test_what_needs_none_gets_none(database, command):
    assert advise_mongo_index(database, command) is None


def test_many_writes_or_no_server(database):
    assert advise_mongo_index(database, BY_AUTHOR, write_share=0.6) is None
    client: MongoClient[Any]
    with MongoClient("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=50) as client:
        assert advise_mongo_index(client["advice"], BY_AUTHOR) is None
        assert unused_indexes(client["advice"], "books") == ()


def test_a_server_that_does_not_say_since_when_names_no_unused_index(database):
    database["books"].create_index([("kind", 1)])
    assert unused_indexes(database, "books") == ()

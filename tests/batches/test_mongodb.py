"""Items for MongoDB, over a real wire server: at least once, poison documents named."""

from typing import Any

import pymongo
import pytest
from django.db import connections

from optimizer.batches import Entry, submit, submit_many
from optimizer.batches.models import DeadLetter
from tests.batches.jobs import left, make, state, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def collection(mongo_url, monkeypatch):
    """A collection of the alias `mongo`, as it is with MONGODB_URI."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(mongo_url)
    with client:
        database = client["batches_test"]
        database.drop_collection("guilds")

        class Alias:
            """What the backend's connection offers of it."""

            def __init__(self) -> None:
                self.database = database

        monkeypatch.setitem(connections.settings, "mongo", {})
        connections["mongo"] = Alias()  # type: ignore[assignment]
        yield database["guilds"]
        del connections["mongo"]


def test_items_are_upserted(collection):
    job = make("guilds", sink="mongodb", collection="guilds", key_fields="guild",
               fields={"id": "guild", "note": None})  # fmt: skip
    submit_many(job.name, [{"id": n, "members": n, "note": "x"} for n in range(50)])
    submit(job.name, {"id": 7, "members": 70})
    assert work(job.name).done == 51
    assert collection.count_documents({}) == 50
    assert collection.find_one({"guild": 7})["members"] == 70
    assert "note" not in collection.find_one({"guild": 8})
    assert (left(job), state(job).folded) == (0, 1)


def test_a_refused_document_is_a_dead_letter(collection):
    collection.create_index("guild", unique=True)
    job = make("guilds", sink="mongodb", collection="guilds", action="insert")
    submit_many(job.name, [{"guild": n} for n in (1, 2, 2, 3)])
    submit(job.name, ["no document"])
    turn = work(job.name)
    assert (turn.done, turn.failed) == (3, 2)
    assert sorted(one["guild"] for one in collection.find()) == [1, 2, 3]
    assert DeadLetter.objects.count() == 2


def test_in_order_what_comes_after_a_refused_document_is_done_too(collection):
    collection.create_index("guild", unique=True)
    job = make("guilds", sink="mongodb", collection="guilds", action="insert", ordered=True)
    submit_many(job.name, [Entry({"guild": n}, order="a") for n in (1, 1, 2, 3)])
    for _ in range(50):
        work(job.name)
        if not left(job):
            break
    assert sorted(one["guild"] for one in collection.find()) == [1, 2, 3]
    assert DeadLetter.objects.count() == 1


def test_without_mongodb_the_job_waits():
    job = make("guilds", sink="mongodb", collection="guilds", key_fields="guild")
    submit(job.name, {"guild": 1})
    assert work(job.name).ended == "trouble"
    assert "MONGODB_URI" in state(job).last_error
    assert left(job) == 1

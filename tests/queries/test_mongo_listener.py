"""Which clients are heard and when, and that the program notices nothing."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from pymongo import MongoClient, monitoring
from pymongo.errors import OperationFailure

from optimizer.queries import watch
from optimizer.queries.engine.settings import Settings
from optimizer.queries.services import capture, commands, mongo
from optimizer.queries.services.collector import Collector
from optimizer.queries.services.units import Unit
from tests.children import Child
from tests.queries.case import marked
from tests.queries.mongo_case import DATABASE, fill

pytestmark = pytest.mark.any_database

CLIENT_FIRST = """
import os
from pymongo import MongoClient
client = MongoClient(os.environ["MONGO"])
client.bot.books.find_one()
import django
django.setup()
from optimizer.queries import watch
from tests.queries.test_mongo_listener import three_alike
with watch() as found:
    three_alike(client.bot)
print([(one.kind, one.count) for one in found])
"""

DRIVER_LATER = """
import sys
from optimizer.queries import watch
with watch():
    pass
print("pymongo" in sys.modules)
from pymongo import MongoClient
print(any(type(one).__name__ == "_WhenImported" for one in sys.meta_path))
client = MongoClient(os.environ["MONGO"])
with watch() as found:
    for number in range(3):
        client.bot.books.find_one({"year": number})
print([(one.kind, one.count) for one in found])
"""

DJANGO = """
import json
from optimizer.queries import watch
from optimizer.queries.services import capture
from tests.queries import mongo_models
from tests.queries.case import marked
mongo_models.fill(5)
def tell(work):
    with watch() as found:
        work()
    told = [[one.kind, one.location, one.suggestion, one.count] for one in found]
    print(json.dumps([marked(work, "<- here"), told]))
for name in ("names", "names_joined", "titles_only", "saved_one_by_one"):
    tell(getattr(mongo_models, name))
print(capture.errors)
"""


def three_alike(db: Any) -> None:
    for year in range(3):
        db.books.find_one({"year": year})


@pytest.fixture
def db(mongo_url):
    mongo.install()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        fill(client[DATABASE], 6)
        yield client[DATABASE]


def lines_of(code: str, count: int, **environment: str) -> list[str]:
    child = Child(code, **environment)
    try:
        return [str(child.read(60)) for _ in range(count)]
    finally:
        child.close()


def test_a_client_that_was_made_before_is_heard(mongo_url):
    done = subprocess.run(
        [sys.executable, "-c", CLIENT_FIRST],
        env={**os.environ, "MONGO": mongo_url},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[('n_plus_one', 3)]\n", done.stderr


def test_a_driver_that_is_imported_later_is_heard_and_not_imported_by_us(mongo_url):
    assert lines_of(DRIVER_LATER, 3, MONGO=mongo_url) == ["False", "False", "[('n_plus_one', 3)]"]


def test_djangos_backend_is_heard_once_and_its_relations_are_named(mongo_url):
    environment = {"MONGODB_URI": mongo_url, "MONGODB_APPS": "mongo_library"}
    environment["MONGODB_DATABASE"] = "poems"
    *told, errors = lines_of(DJANGO, 5, **environment)
    (broken, joined, unread, saved) = map(json.loads, told)
    assert joined == [[], []]
    for (lines, ((kind, location, suggestion, count),)), right_kind, fix in (
        (broken, "n_plus_one", 'select_related("writer")'),
        (unread, "unused_eager_load", 'remove select_related("writer")'),
        (saved, "write_n_plus_one", "bulk_update("),
    ):
        assert (kind, [location], count) == (right_kind, lines, 5)
        assert fix in suggestion
    assert errors == "0"


def test_the_listener_is_registered_once(db):
    for _ in range(3):
        mongo.install()
    ours = [
        one for one in monitoring._LISTENERS.command_listeners if isinstance(one, mongo.Listener)
    ]
    assert len(ours) == 1


def test_with_nothing_watched_an_event_is_not_even_looked_at(db):
    assert capture._active == 0
    listener: Any = mongo.Listener()
    for heard in (listener.started, listener.succeeded, listener.failed):
        heard(None)


def test_what_comes_when_the_unit_has_ended_is_not_noted(db):
    unit = Unit()
    with capture.watching(unit):
        db.books.find_one()
    with capture.watching(Unit()):
        db.books.find_one()
    db.books.find_one()
    unit.fold()
    assert unit.queries == 1


def test_further_batches_belong_to_their_query(db):
    unit = Unit()
    with capture.watching(unit):
        assert len(list(db.books.find(batch_size=5))) == 12
    unit.fold()
    (group,) = unit.groups.values()
    assert (unit.queries, group.count, group.rows) == (1, 1, 12)
    assert group.seconds > group.max_seconds > 0  # the later batches' too
    assert unit.seconds == pytest.approx(group.seconds)
    assert unit.cursors == {}
    assert unit.own_seconds > 0


def test_a_unit_that_is_not_sampled_hears_of_slow_commands_alone(db):
    for least_seconds, noted in ((0.0, 3), (20.0, 0)):
        unit = Unit(least_seconds=least_seconds)
        with capture.watching(unit):
            three_alike(db)
        unit.fold()
        assert unit.queries == noted


def test_what_was_found_and_asked_goes_the_way_of_sql(db):
    unit = Unit("view", "request")
    with capture.watching(unit):
        three_alike(db)
    gathering = Collector()
    gathering.add(unit, 1, Settings())
    news = gathering.take().news
    (finding,), (statement,) = news.findings, news.statements
    assert finding.kind == "n_plus_one"
    assert statement.text == "db.books.findOne({year: ?})"
    assert (statement.alias, statement.tables) == (commands.ALIAS, [f"{DATABASE}.books"])


def test_a_failed_command_is_counted_and_repeats_nothing(db):
    unit = Unit()
    with capture.watching(unit):
        for _ in range(3):
            with pytest.raises(OperationFailure):
                db.command("aggregate", "books", pipeline=[{"$nonsense": 1}], cursor={})
    unit.fold()
    assert unit.queries == 3
    assert unit.seconds > 0
    assert unit.groups == {}


def test_commands_of_the_driver_itself_are_none_of_the_program(db):
    unit = Unit()
    with capture.watching(unit):
        db.command("ping")
        db.list_collection_names()
        db.books.create_index("year")
    unit.fold()
    assert unit.queries == 0


def test_an_error_of_the_optimizer_is_counted_and_the_command_still_answers(db, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug of ours")

    before = capture.errors
    monkeypatch.setattr(mongo, "read_command", broken)
    with watch() as found:
        assert db.books.find_one({"title": "book 1"})["year"] == 1991
    assert found == []
    assert capture.errors == before + 1


def test_groups_are_bounded(db, monkeypatch):
    monkeypatch.setattr(commands, "MAX_GROUPS", 2)
    unit = Unit()
    with capture.watching(unit):
        for name in ("one", "two", "three", "four"):
            db[name].find_one()
    assert len(unit.groups) == 2
    assert unit.dropped == 2


def test_a_blocking_client_that_a_coroutine_sends_to_a_thread_is_found_at_its_await(db):
    async def main():
        for year in range(3):
            await sync_to_async(db.books.find_one)({"year": year})  # <- here

    with watch() as found:
        asyncio.run(main())
    place = test_a_blocking_client_that_a_coroutine_sends_to_a_thread_is_found_at_its_await
    assert [(one.kind, one.location) for one in found] == [
        ("n_plus_one", marked(place, "# <- here")[0])
    ]


def test_a_cancelled_command_leaves_the_next_ones_alone(mongo_url):
    from pymongo import AsyncMongoClient

    async def main() -> int:
        async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
            db = client[DATABASE]
            await db.books.find_one()
            data = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 20_000}
            point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
            await client.admin.command(point)
            task = asyncio.create_task(db.books.find_one({"year": 1}))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task, 0.2)
            await db.books.find_one({"year": 2})
            return 0

    unit = Unit()
    mongo.install()
    errors = capture.errors
    with capture.watching(unit):
        asyncio.run(main())
    unit.fold()
    assert unit.queries == 2
    assert capture.errors == errors

"""A worker looks at what costs most, and keeps what it found; MongoDB's commands, too."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pymongo import MongoClient

from optimizer.queries import tasks
from optimizer.queries.engine.mongo_sample import read_sample, sample_of
from optimizer.queries.engine.settings import Settings
from optimizer.queries.live import queries
from optimizer.queries.models import IndexAdvice, Statement, Statistic
from optimizer.queries.models.findings import State
from optimizer.queries.services import collector, ingest, reporter, watching
from tests.children import children
from tests.library.models import Book, Publisher
from tests.queries.units import begin

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(collector, "collector", collector.Collector())
    monkeypatch.setattr(queries, "_snapshot", Settings(mode="all", index_least_seconds=0.0))


def watched(work):
    unit = begin("costly", "task")
    work()
    watching.end(unit)
    assert reporter.flush()
    ingest.read_all()


@pytest.fixture
def publishers():
    Publisher.objects.bulk_create(
        Publisher(name=f"publisher {n}", city=f"city {n % 500}") for n in range(5000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def test_what_scans_a_table_gets_an_index(publishers):
    watched(lambda: list(Publisher.objects.filter(city="city 7").order_by("pk")))
    assert tasks.look_for_indexes() >= 1
    advice = IndexAdvice.objects.get(table="library_publisher")
    assert advice.columns[0] == "city"
    assert advice.statement.startswith("CREATE INDEX")
    assert advice.model_label == "library.Publisher"
    assert '"city"' in advice.meta_line
    assert Statement.objects.get(fingerprint=advice.fingerprint).explained_at is not None
    assert tasks.look_for_indexes() == 0  # once a day


def test_what_people_decided_stays_and_what_is_no_more_goes(publishers):
    watched(lambda: list(Publisher.objects.filter(city="city 7")))
    tasks.look_for_indexes()
    IndexAdvice.objects.update(state=State.IGNORED)
    Statement.objects.update(explained_at=timezone.now() - timedelta(days=2))
    tasks.look_for_indexes()
    advice = IndexAdvice.objects.get(table="library_publisher")
    assert advice.state == State.IGNORED
    IndexAdvice.objects.update(state=State.OPEN)
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX by_city ON library_publisher (city)")
    try:
        Statement.objects.update(explained_at=timezone.now() - timedelta(days=2))
        tasks.look_for_indexes()
        assert not IndexAdvice.objects.filter(table="library_publisher").exists()
        noted = Statement.objects.get(fingerprint=advice.fingerprint).explain_note
        assert "no index would help" in noted
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX by_city")


def test_what_cannot_be_explained_is_noted_and_keeps_nobody_waiting(publishers):
    watched(lambda: list(Book.objects.filter(title="none")))
    now = timezone.now()
    Statement.objects.create(
        fingerprint="broken",
        text="SELECT",
        sql="SELECT nothing FROM nowhere WHERE x = %s",
        verb="SELECT",
        tables=["nowhere"],
        first_seen_at=now,
        last_seen_at=now,
    )
    Statistic.objects.create(
        hour=now, fingerprint="broken", location="", unit="", digest="x", seconds=9.0
    )
    assert tasks.look_for_indexes() == 2
    assert Statement.objects.get(pk="broken").explained_at is not None


def test_switched_off_it_asks_nothing(publishers, monkeypatch):
    monkeypatch.setattr(queries, "_snapshot", Settings(index_advice=False))
    assert tasks.look_for_indexes() == 0


def test_a_mongodb_command_keeps_its_shape_and_no_value():
    text = sample_of(
        "bot",
        {
            "find": "users",
            "filter": {"name": "secret", "age": {"$gt": 41}, "tags": {"$in": [7, 8, 9]}},
            "sort": {"age": -1},
            "limit": 5,
            "lsid": {"id": b"x"},
        },
    )
    assert "secret" not in text
    assert "41" not in text
    name, command = read_sample(text)
    assert name == "bot"
    assert command["find"] == "users"
    assert command["sort"] == {"age": -1}
    assert list(command["filter"]) == ["name", "age", "tags"]
    assert sample_of("bot", {"insert": "users", "documents": [{}]}) == ""


def test_a_scan_of_a_collection_gets_an_index(mongo_url):
    client: MongoClient = MongoClient(mongo_url)
    people = client["bot"]["people"]
    people.insert_many({"guild": n % 500, "name": str(n)} for n in range(3000))
    try:
        watched(lambda: list(people.find({"guild": 7})))
        assert Statement.objects.get(alias="mongodb").sql.startswith("{")
        # As a worker sees it whose environment has MONGODB_URI.
        with children(1, LOOK, MONGODB_URI=mongo_url) as (child,):
            child.read_until("looked", 30.0)
    finally:
        client.drop_database("bot")
        client.close()
    advice = IndexAdvice.objects.get(alias="mongodb")
    assert advice.columns == ["guild"]
    assert advice.statement == 'database["people"].create_index([("guild", 1)])'


LOOK = """
from optimizer.queries.engine.settings import Settings
from optimizer.queries.services import indexing
indexing.look(Settings(index_least_seconds=0.0))
print("looked")
"""

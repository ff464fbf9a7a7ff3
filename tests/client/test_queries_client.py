import asyncio

import pytest
from django.utils import timezone

from optimizer.client import (
    ApiError,
    AsyncTuneup,
    Cost,
    InvalidFields,
    Query,
    Tuneup,
    Unauthorized,
    Unavailable,
)
from optimizer.control import keys
from optimizer.queries.engine.settings import Settings
from optimizer.queries.live import queries
from optimizer.queries.models import IndexAdvice
from optimizer.queries.services import collector, ingest, reporter

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]
BOOK = "SELECT * FROM book WHERE id = %s"


class Blocking:
    """The optimizer of the asyncio client, called as the other one is."""

    def __init__(self, *arguments):
        self._made = arguments

    def __getattr__(self, name):
        def call(*arguments, **options):
            async def run():
                async with AsyncTuneup(*self._made) as client:
                    return await getattr(client.queries, name)(*arguments, **options)

            return asyncio.run(run())

        return call


@pytest.fixture(params=["sync", "async"])
def make(request):
    def new(*arguments):
        if request.param == "async":
            return Blocking(*arguments)
        client = Tuneup(*arguments)
        request.addfinalizer(client.close)
        return client.queries

    return new


@pytest.fixture
def client(make, live_server, monkeypatch):
    monkeypatch.setattr(collector, "collector", collector.Collector())
    monkeypatch.setattr(queries, "_snapshot", Settings(n_plus_one_threshold=3))
    return make(live_server.url, keys.issue(name="bot", scopes=["queries"])[1])


def loop(count):
    return [
        Query(BOOK, 0.01, "bot/shop.py:12", rows=1, parameters={"id": at}) for at in range(count)
    ]


def test_a_report_is_answered_and_what_it_told_is_there(client):
    report = client.report("/shop", iter(loop(4)))
    assert (report.watched, report.queries) == (True, 4)
    (harm,) = report.findings
    assert (harm.kind, harm.location, harm.count) == ("n_plus_one", "bot/shop.py:12", 4)
    assert reporter.flush()
    assert ingest.read_all() == 1

    found = client.findings(state="open", kind="n_plus_one", limit=5)
    assert found.total == 1
    (finding,) = found.findings
    assert (finding.units, finding.fingerprint) == (("/shop",), harm.fingerprint)
    assert finding.last_seen_at <= timezone.now()
    assert client.finding(finding.id) == finding
    assert client.set_state(finding.id, "fixed").fixed_at is not None
    assert client.findings(state="open", kind="n_plus_one").total == 0
    assert client.findings(kind="n_plus_one", offset=1).findings == ()

    (cost,) = [one for one in client.stats(hours=1, order="calls") if one.unit == "/shop"]
    assert isinstance(cost, Cost)
    assert (cost.calls, cost.rows, cost.distinct) == (4, 4, 4)


def test_a_digest_of_the_parameters_does_as_well(client):
    same = [Query(BOOK, 0.01, parameters_hash="a") for _ in range(3)]
    assert [one.kind for one in client.report("/shop", same).findings] == ["duplicate"]
    others = [Query(BOOK, 0.01, parameters_hash=str(at)) for at in range(3)]
    assert [one.kind for one in client.report("/shop", others).findings] == ["n_plus_one"]


def test_recommendations(client):
    client.report("/shop", [Query(BOOK, 0.02, count=500)])
    assert reporter.flush()
    ingest.read_all()
    IndexAdvice.objects.create(
        table="book", columns=["author_id"], digest="1", reason="", checked_at=timezone.now()
    )
    advice = client.recommendations(hours=1)
    assert "/shop" in [one.cost.unit for one in advice.cache]
    assert [one.columns for one in advice.indexes] == [("author_id",)]


def test_errors_are_named(client, make):
    with pytest.raises(InvalidFields, match=r"queries\.0\.seconds: .*greater than or equal to 0"):
        client.report("/shop", [Query(BOOK, -1)])
    with pytest.raises(InvalidFields, match="limit: "):
        client.findings(limit=101)
    with pytest.raises(ApiError, match="no such finding") as caught:
        client.finding(1)
    assert caught.value.problem.type == "unknown-finding"
    keys.revoke("bot")
    with pytest.raises(Unauthorized):
        client.stats()
    with pytest.raises(Unavailable):
        make("http://127.0.0.1:1", "key").stats()

"""The pages of figures: live, top queries, one query, recommendations."""

from datetime import timedelta

import pytest
from django.utils import timezone

from optimizer.queries.models import (
    Checkpoint,
    Finding,
)
from optimizer.queries.pages.words import readable
from optimizer.queries.services import capture, collector, reporter, watching
from tests.queries.admin_rows import SQL, advice, finding, statistic, text_of, url

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.mark.parametrize("given", ["0", "-1", "x", "9" * 40, "25", "1&order=password", "1&order="])
def test_an_address_that_asks_for_nonsense_is_served(admin_client, given):
    statistic()
    for page in (
        url("queries_top"),
        url("queries_query", "0" * 16),
        url("queries_recommendations"),
    ):
        text_of(admin_client, f"{page}hours={given}")


def test_top_queries_are_ordered_as_asked(admin_client):
    statistic(1, seconds=5.0, calls=10_000)
    statistic(2, seconds=50.0, calls=10)
    statistic(3, hour=timezone.now() - timedelta(hours=30), seconds=500.0)

    def order(**query: str) -> list[int]:
        page = text_of(admin_client, url("queries_top", **query))
        found = {number: page.find(f"/query/{number:016x}/") for number in (1, 2, 3)}
        return sorted((one for one in found if found[one] >= 0), key=lambda one: found[one])

    assert order() == [2, 1]
    assert order(order="calls") == [1, 2]
    assert order(hours="168") == [3, 2, 1]
    assert order(hours="1") == [2, 1]


def test_a_query_tells_where_and_how_long(admin_client):
    statistic(1)
    statistic(1, location="shop/tasks.py:9", unit="shop.tasks.remind", digest="f" * 32)
    found = finding(1)
    page = text_of(admin_client, url("queries_query", found.fingerprint))
    for told in ("shop/tasks.py:9", "shop.tasks.remind", "8\u202f000", "max 310 ms", "3 distinct"):
        assert told in page, told
    assert url("queries_finding_change", found.pk).rstrip("?") in page
    assert page.count("<rect ") == 11  # doublings from the shortest to the longest
    assert "<title>&lt; 3.9 ms: 4</title>" in page or "<title>&lt; 2 ms: 4</title>" in page


def test_recommendations_have_their_numbers_and_their_buttons(admin_client):
    statistic(1, n_plus_one=0, repeats=0)
    statistic(2, repeats=3900)
    statistic(3, calls=5)
    row = advice()
    page = text_of(admin_client, url("queries_recommendations"))
    for told in ("ms a second", "expected hits", "calls ask again", "only 5 calls"):
        assert told in page, told
    for told in ("103.4 times less", "CREATE INDEX CONCURRENTLY", "models.Index", "Seq Scan"):
        assert told in page, told
    assert "verified: hypothetical index" in page
    admin_client.post(url("queries_decide", row.pk), {"state": "fixed"})
    row.refresh_from_db()
    assert row.state == "fixed"
    assert "1 done or ignored" in text_of(admin_client, url("queries_recommendations"))
    admin_client.post(url("queries_decide", row.pk), {"state": "nonsense"})
    admin_client.get(url("queries_decide", row.pk))
    row.refresh_from_db()
    assert row.state == "fixed"
    assert admin_client.post(url("queries_decide", row.pk + 1)).status_code == 404


def test_advice_without_costs_or_plans_is_shown(admin_client):
    advice(
        cost_before=None,
        cost_after=None,
        plan_before="",
        plan_after="",
        verified="",
        fingerprint="",
    )
    advice(1, cost_before=0.0, cost_after=0.0)
    page = text_of(admin_client, url("queries_recommendations"))
    assert "not verified" in page
    assert "times less" not in page


def test_live_shows_what_was_counted_and_whether_it_is_read(admin_client, monkeypatch):
    monkeypatch.setattr(collector, "collector", collector.Collector())
    monkeypatch.setattr(reporter._turn, "errors", capture.errors)  # of earlier tests
    collector.collector.count(
        watched=3, skipped=1, own_us=500, units_us=100_000, queries=90, n_plus_one=2, errors=7
    )
    with monkeypatch.context() as patched:  # a slot is shown when it is over
        patched.setattr(reporter.series, "_clock", lambda: timezone.now().timestamp() - 20)
        assert reporter.flush()
    page = text_of(admin_client, url("queries_live_fragment"))
    for told in (
        "75 %",
        "of 4 units",
        "0.50 %",
        "the budget is 2&nbsp;%",
        "failed 7 times",
        "in time",
    ):
        assert told in page, told
    assert "<dd>never</dd>" in page
    Checkpoint.objects.create(stream="intervals", read_at=timezone.now() - timedelta(minutes=4))
    assert "4 min ago" in text_of(admin_client, url("queries_live_fragment"))


def test_live_says_that_nobody_reads(admin_client, redis):
    redis.xadd(reporter.STREAM, {"s": b"x"}, id="1-1")
    assert "do a worker and beat run?" in text_of(admin_client, url("queries_live"))


def test_watching_counts_what_it_skips_and_costs(monkeypatch):
    monkeypatch.setattr(collector, "collector", collector.Collector())
    for rate, name in ((1.0, "watched"), (0.0, "skipped")):
        monkeypatch.setattr(watching.sampler, "weight", lambda *_, rate=rate: int(rate))
        watched = watching.begin(name, "request")
        assert watched is not None
        Finding.objects.count()
        watching.end(watched)
    counts = collector.collector.take().counts
    assert (counts["watched"], counts["skipped"]) == (1, 1)
    assert counts["own_us"] > 0
    assert counts["units_us"] > 0


def test_sql_is_told_on_lines_whatever_it_is():
    assert readable(SQL).splitlines()[0].startswith("SELECT")
    assert len(readable(SQL).splitlines()) >= 3
    many = readable("SELECT a FROM b WHERE c IN (" + "%s, " * 900 + "%s)")
    assert "%s, … %s" in many
    assert len(many) < 100
    for odd in ("", "\0", "(" * 3000, "))", "не SQL", "SELECT '" + "x" * 50_000):
        assert isinstance(readable(odd), str)

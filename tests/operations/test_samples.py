"""Figures over time: kept once a minute whoever does it, summed up by the hour, bounded."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError

from optimizer.control import registry
from optimizer.operations import figures, metrics
from optimizer.operations.engine.quantile import quantile_of
from optimizer.operations.live import operations
from optimizer.operations.models import OperationsSettings, Sample
from optimizer.operations.services import http_counts, samples
from tests.children import children

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]

NOW = datetime(2026, 11, 30, 12, 34, 56, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPAN = Sample.Span


def keep(at, value, span=SPAN.MINUTE, figure="caching.hit_percent"):
    return Sample.objects.create(
        span_seconds=span, figure=figure, at=at, value=value, least=value, most=value
    )


def test_every_component_tells_what_it_declares(client):
    before = samples.read_figures()
    assert {"operations.failing_checks", "batches.waiting_items", "queries.open_findings"} <= set(
        before
    )
    for one in registry.components(platform=False):
        assert one.figures is not None, one.name
    assert set(before) <= set(registry.figures())


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_the_database_s_figures_are_told_alone():
    told = samples.read_figures()
    assert told["batches.waiting_items"] == 0
    assert told["operations.failing_checks"] >= 1
    assert "caching.reads_per_second" not in told
    assert "ratelimit.denied_percent" not in told


def test_a_new_installation_has_nothing_to_sum_up(django_assert_max_num_queries):
    keep(NOW.replace(second=0), 1.0)
    with django_assert_max_num_queries(2):
        assert samples.roll_up(NOW) == 0
    keep(NOW - 3 * HOUR, 2.0)
    assert samples.roll_up(NOW) == 1


def test_what_fails_is_a_gap_and_takes_no_other_away(monkeypatch):
    def broken():
        raise ZeroDivisionError

    def away():
        raise DatabaseError("gone")

    figure = registry.Figure("one", "One", "", "vector(1)")
    told = [
        registry.Figures((figure,), broken),
        registry.Figures((figure,), away),
        registry.Figures((figure,), lambda: {"one": float("nan"), "unknown": 1.0}),
        registry.Figures((figure,), lambda: {"one": 7}),
    ]
    components = [
        registry.Component(f"c{at}", "", "", live=operations, status=dict, figures=one)
        for at, one in enumerate(told)
    ]
    monkeypatch.setattr(registry, "components", lambda: components)
    assert samples.read_figures() == {"c3.one": 7.0}


def test_a_minute_is_kept_once_whoever_comes_second():
    minute, first = samples.take(NOW)
    assert minute == NOW.replace(second=0)
    Sample.objects.filter(figure="batches.waiting_items").update(value=42.0)
    _, second = samples.take(NOW + timedelta(seconds=3))
    assert second == {**first, "batches.waiting_items": 42.0}
    assert Sample.objects.filter(figure="batches.waiting_items").count() == 1


TAKE = """
import sys
from datetime import datetime, UTC
from optimizer.operations.services import samples
print("ready")
sys.stdin.readline()
for minute in range(8):
    at = datetime(2026, 11, 30, 11, minute, 1, tzinfo=UTC)
    samples.take(at)
    samples.roll_up(datetime(2026, 11, 30, 12, 1, tzinfo=UTC))
print("done")
"""


def test_several_beats_at_once_keep_each_minute_once():
    with children(3, TAKE) as started:
        for child in started:
            child.read_until("ready", 60)
        for child in started:
            child.say("go")
        for child in started:
            child.read_until("done", 120)
    rows = Sample.objects.filter(figure="batches.waiting_items")
    assert rows.filter(span_seconds=SPAN.MINUTE).count() == 8
    assert rows.get(span_seconds=SPAN.HOUR).count == 8


def test_an_hour_is_the_mean_the_least_and_the_most_of_its_minutes():
    hour = NOW.replace(minute=0, second=0, microsecond=0) - HOUR
    for minute, value in ((0, 1.0), (1, 2.0), (59, 9.0)):
        keep(hour + timedelta(minutes=minute), value)
    keep(hour + HOUR, 100.0)  # of the hour that is not over
    keep(hour - 3 * HOUR, 5.0)
    assert samples.roll_up(NOW) == 1 + 1
    row = Sample.objects.get(span_seconds=SPAN.HOUR, at=hour)
    assert (row.value, row.least, row.most, row.count) == (4.0, 1.0, 9.0, 3)
    keep(hour + timedelta(minutes=58), 12.0)  # one that came late
    samples.roll_up(NOW)
    row.refresh_from_db()
    assert (row.value, row.most, row.count) == (6.0, 12.0, 4)
    assert Sample.objects.filter(span_seconds=SPAN.HOUR).count() == 2


def test_what_is_too_old_goes_in_chunks_and_nothing_else(monkeypatch):
    OperationsSettings(keep_minutes_hours=2, keep_hours_days=1).save()
    old = [
        Sample(span_seconds=SPAN.MINUTE, figure="f", at=NOW - 3 * HOUR - timedelta(minutes=at),
               value=1, least=1, most=1)
        for at in range(25)
    ]  # fmt: skip
    Sample.objects.bulk_create(old)
    kept = keep(NOW - HOUR, 1), keep(NOW - 23 * HOUR, 1, SPAN.HOUR)
    keep(NOW - 25 * HOUR, 1, SPAN.HOUR)
    monkeypatch.setattr(samples, "CHUNK_ROWS", 10)
    monkeypatch.setattr(samples, "MOST_CHUNKS", 2)
    assert samples.forget(NOW) == 20 + 1
    assert samples.forget(NOW) == 5
    assert set(Sample.objects.values_list("pk", flat=True)) == {one.pk for one in kept}


def test_requests_are_counted_without_probes(client, monkeypatch):
    reporter = http_counts.Reporter()
    reporter.report()
    clock = reporter.series._clock
    monkeypatch.setattr(http_counts, "reporter", reporter)
    for _ in range(3):
        client.get("/api/")
        client.get("/health")
    reporter.report()
    reporter.series._clock = lambda: clock() + 20
    told = figures.read()
    assert told["requests_per_second"] == pytest.approx(3 / 60)
    assert told["server_error_percent"] == 0
    assert 0 < told["request_p95_seconds"] <= 10


def test_server_errors_are_a_share_of_the_requests(monkeypatch):
    reporter = http_counts.Reporter()
    reporter.report()
    for status in (200, 200, 200, 503):
        metrics.count_request("GET", "somewhere", status, 0.2)
    reporter.report()
    clock = reporter.series._clock
    reporter.series._clock = lambda: clock() + 20
    monkeypatch.setattr(http_counts, "reporter", reporter)
    told = figures.read()
    assert told["server_error_percent"] == 25
    assert 0.1 < told["request_p95_seconds"] <= 0.25  # the bucket that they are in


def test_a_quantile_lies_in_the_bucket_of_its_rank():
    ends = [0.1, 0.5, 1.0, 5.0, float("inf")]
    chance = random.Random(3)  # noqa: S311
    for _ in range(200):
        values = sorted(chance.uniform(0, 6) for _ in range(chance.randint(1, 60)))
        buckets = {end: sum(value <= end for value in values) for end in ends}
        for share in (0.5, 0.95, 0.99):
            found = quantile_of(buckets, share)
            assert found is not None
            true = values[max(1, math.ceil(share * len(values))) - 1]
            end = next(one for one in ends if true <= one)
            begin = max((one for one in ends if one < end), default=0.0)
            assert begin <= found <= min(end, 5.0) or found == pytest.approx(begin)
    assert quantile_of({}, 0.5) is None
    assert quantile_of({1.0: 0, float("inf"): 0}, 0.5) is None

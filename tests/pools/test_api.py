"""Pools over HTTP."""

import json

import pytest
from django.utils import timezone

from optimizer.control import keys
from optimizer.control.models import Revision
from optimizer.pools.models import PooledConnection
from optimizer.pools.services import reporter, seeds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def call(client):
    bearer = f"Bearer {keys.issue(name='bot', scopes=['pools'])[1]}"

    def send(method, path="", body=None, *, status=200):
        answer = client.generic(
            method,
            f"/internal/v1/pools{path}",
            b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": bearer},
        )
        assert answer.status_code == status, answer.content
        return answer.json()

    return send


@pytest.fixture
def rows():
    seeds.seed()
    return {one.alias: one for one in PooledConnection.objects.all()}


def test_first_rows_are_what_the_settings_name(rows):
    assert set(rows) == {"default", "redis", "cache"}
    assert rows["redis"].acquire_timeout_seconds == 0.25
    before = Revision.objects.count()
    seeds.seed()
    assert Revision.objects.count() == before


def test_every_pool_is_told_with_sums_over_processes(call, rows):
    reporter.report()
    found = {one["alias"]: one for one in call("GET")}
    assert set(found) >= {"default", "redis", "cache"}
    redis = found["redis"]
    assert redis["processes"] == 1 and redis["most"] >= 50
    assert redis["counts"]["acquired"] > 0 and redis["counts"]["created"] > 0
    assert 0 <= redis["counts"]["reuse_ratio"] <= 1


def test_a_pool_is_told_with_its_server_and_advice(call, rows):
    reporter.report()
    told = call("GET", "/redis")
    assert told["server"]["limit"] >= told["server"]["used"] > 0
    assert told["advice"]["suggested"] >= 1 and told["advice"]["because"]
    assert told["by_process"][0]["max_size"] >= 50


def test_recycle_is_a_revision_that_every_process_sees(call, rows):
    assert call("POST", "/redis/recycle")["limits"]["generation"] == 1
    rows["redis"].refresh_from_db()
    assert rows["redis"].generation == 1
    last = Revision.objects.latest("number")
    assert (last.component, last.actor, last.channel) == ("pools", "key:bot", "api")


def test_a_pool_is_suspended_for_a_while_and_resumed(call, rows):
    call("POST", "/cache/suspend", {"seconds": 20.0})
    rows["cache"].refresh_from_db()
    assert 10 < (rows["cache"].suspended_until - timezone.now()).total_seconds() <= 20
    call("POST", "/cache/resume")
    rows["cache"].refresh_from_db()
    assert rows["cache"].suspended_until is None


def test_the_default_database_is_suspended_for_a_minute_at_most(call, rows):
    told = call("POST", "/default/suspend", {"seconds": 61}, status=422)
    assert told["errors"] == [
        {"field": "seconds", "message": "Must be above 0 and up to 60 s."},
    ]
    rows["default"].refresh_from_db()
    assert rows["default"].suspended_until is None


@pytest.mark.parametrize("seconds", [0, -1, 301, "5", None])
def test_a_suspension_without_an_end_is_refused(call, rows, seconds):
    told = call("POST", "/cache/suspend", {"seconds": seconds}, status=422)
    assert told["errors"][0]["field"] == "seconds"


@pytest.mark.parametrize("path", ["/nothing", "/nothing/recycle", "/nothing/resume"])
def test_a_pool_that_is_not_there_is_told(call, rows, path):
    told = call("GET" if path == "/nothing" else "POST", path, status=404)
    assert told["type"] == "unknown-pool" and "nothing" in told["detail"]


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_this_process_is_told(call, rows):
    found = {one["alias"]: one for one in call("GET")}
    assert found["redis"]["processes"] <= 1
    assert call("GET", "/redis")["server"] is None

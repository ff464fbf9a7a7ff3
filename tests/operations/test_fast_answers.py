"""What is polled is answered before Django as Django answers it, and from the cache."""

import json

import pytest
from django.core.handlers.wsgi import WSGIHandler

from optimizer.control import keys
from optimizer.operations.fast_path import FastPath
from optimizer.operations.models import OperationsSettings
from tests.wsgi import Answer, left_to_django

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
POLLED = ("/health", "/metrics", "/api/overview")


@pytest.fixture
def bearer() -> str:
    return f"Bearer {keys.issue(name='board', scopes=['operations'])[1]}"


def get(path: str, application=left_to_django, **environ) -> Answer:
    return Answer(FastPath(application), "GET", path, **environ)


@pytest.mark.parametrize("path", POLLED)
def test_it_is_answered_before_django(path, bearer):
    assert get(path, HTTP_AUTHORIZATION=bearer).status == 200


def test_both_ways_say_the_same(bearer):
    OperationsSettings(answer_age_seconds=0).save()
    for path in POLLED:
        fast = get(path, HTTP_AUTHORIZATION=bearer)
        plain = Answer(WSGIHandler(), "GET", path, HTTP_AUTHORIZATION=bearer)
        assert fast.status == plain.status == 200
        assert fast.headers["content-type"] == plain.headers["content-type"]
        assert "no-store" in fast.headers["cache-control"]
        if path != "/metrics":  # the first call has counted itself
            assert fast.json().keys() == plain.json().keys()


@pytest.mark.parametrize("path", POLLED)
def test_switched_off_all_goes_through_django(path, bearer):
    OperationsSettings(fast_answers=False).save()
    assert get(path, HTTP_AUTHORIZATION=bearer).status == 599
    assert get(path, WSGIHandler(), HTTP_AUTHORIZATION=bearer).status == 200


@pytest.mark.parametrize(
    "odd",
    [{"QUERY_STRING": "a=1"}, {"HTTP_HOST": "no host"}, {"REQUEST_METHOD": "HEAD"}],
)
def test_what_is_not_plain_is_left_to_django(odd, bearer):
    for path in POLLED:
        assert get(path, HTTP_AUTHORIZATION=bearer, **odd).status == 599


def test_metrics_behind_a_proxy_nobody_told_of_are_left_to_django(bearer):
    assert get("/metrics").status == 200
    for header in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"):
        assert get("/metrics", **{header: "203.0.113.9"}).status == 599
        assert get("/metrics", HTTP_AUTHORIZATION=bearer, **{header: "x"}).status == 200


def test_without_a_good_key_nothing_is_told(bearer):
    other = f"Bearer {keys.issue(name='bot', scopes=['ratelimit'])[1]}"
    assert get("/api/overview", HTTP_AUTHORIZATION=bearer).status == 200  # it is in the cache now
    for given in ({}, {"HTTP_AUTHORIZATION": other}, {"HTTP_AUTHORIZATION": "Bearer tu_x_y"}):
        refused = get("/api/overview", WSGIHandler(), **given)
        assert (refused.status, refused.json()["title"]) == (401, "No valid key")
        assert get("/metrics", WSGIHandler(), REMOTE_ADDR="10.0.0.1", **given).status == 401
    OperationsSettings(trusted_proxy_count=1).save()
    away = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.1"}
    assert get("/metrics", WSGIHandler(), **away).status == 401


def test_an_answer_is_as_old_as_allowed_and_no_older(bearer):
    def revision() -> int:
        return int(get("/api/overview", HTTP_AUTHORIZATION=bearer).json()["revision"])

    OperationsSettings(answer_age_seconds=60).save()
    before = revision()
    OperationsSettings(answer_age_seconds=60, login_rate_per_minute=11).save()
    assert revision() == before
    OperationsSettings(answer_age_seconds=0).save()
    assert revision() == before + 2


def test_the_overview_tells_of_components_processes_and_changes(client, bearer):
    OperationsSettings(login_rate_per_minute=12).save()
    told = json.loads(client.get("/api/overview", headers={"Authorization": bearer}).content)
    assert {"caching", "ratelimit", "queries", "batches", "operations"} <= told["components"].keys()
    assert told["redis"] == "up"
    event = told["events"][0]
    assert (event["component"], event["revision"]) == ("operations", told["revision"])
    assert event["changed"]


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_all_is_answered(bearer):
    for path in POLLED:
        assert get(path, HTTP_AUTHORIZATION=bearer).status == 200
    assert get("/api/overview", HTTP_AUTHORIZATION=bearer).json()["redis"] == "away"

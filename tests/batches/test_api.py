"""Items over HTTP, and what people do with jobs."""

import json
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from optimizer.batches import submit_many, tasks
from optimizer.batches.models import DeadLetter, Item, Job, JobState
from optimizer.batches.services import fullness, runs, submitting
from optimizer.control import keys
from optimizer.control.models import Revision
from optimizer.control.redis import call as redis_call
from tests.batches.jobs import left, make, state, work
from tests.library.models import Ledger

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]
BASE = "/internal/v1/batches"


@pytest.fixture
def job():
    return make("notes", handler="ledger")


@pytest.fixture
def call(client):
    bearer = f"Bearer {keys.issue(name='bot', scopes=['batches'])[1]}"

    def send(method, path, body=None, *, status=200, whole=False):
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        answer = client.generic(
            method,
            f"{BASE}{path}",
            sent,
            content_type="application/json",
            headers={"Authorization": bearer},
        )
        assert answer.status_code == status, answer.content
        if status >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        return answer if whole else answer.json()

    return send


def payloads(job):
    rows = Item.objects.filter(job=job).order_by("pk")
    return [(json.loads(one.payload), one.key, one.lane) for one in rows]


def test_many_items_are_committed_when_they_are_answered(call, job):
    entries = [{"item": {"n": n}, "key": f"k{n}", "order": "a"} for n in range(3)]
    answer = call("POST", "/notes/items", {"items": entries}, status=202)
    assert answer == {"accepted": 3, "known": []}
    lane = submitting.lane_of("a")
    assert payloads(job) == [({"n": n}, f"k{n}", lane) for n in range(3)]


@pytest.mark.parametrize("item", [None, 0, "", [], {"a": [1, {"b": None}]}, 10**30, 1.5, "ß\n"])
def test_one_item_comes_in_the_short_form(call, job, item):
    call("POST", "/notes/items", {"item": item, "key": "k"}, status=202)
    assert payloads(job) == [(item, "k", 0)]


def test_what_was_accepted_before_is_answered_as_such(call, job):
    call("POST", "/notes/items", {"item": 1, "key": "a"}, status=202)
    again = {"items": [{"item": 1, "key": "a"}, {"item": 2}, {"item": 3, "key": "a"}]}
    assert call("POST", "/notes/items", again, status=202) == {"accepted": 1, "known": [0, 2]}
    whole = call("POST", "/notes/items", {"item": 1, "key": "a"}, status=200)
    assert whole == {"accepted": 0, "known": [0]}
    assert left(job) == 2


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "items", "Give items, or one item"),
        ({"item": 1, "items": [{"item": 1}]}, "items", "Give items, or one item"),
        ({"items": []}, "items", "length >= 1"),
        ({"items": [{"item": 1}] * 10_001}, "items", "length <= 10000"),
        ({"items": [{"item": 1}, {"item": 1, "key": 5}]}, "items[1].key", "Expected `str`"),
        ({"items": [{"item": 1, "key": "k" * 201}]}, "items[0].key", "length <= 200"),
        ({"items": [{"item": 1, "order": "k" * 201}]}, "items[0].order", "length <= 200"),
        ({"items": [{"item": 1}, {"key": "k"}]}, "items[1].item", "missing required"),
        ({"items": [{"item": 1, "kye": "k"}]}, "items[0].kye", "unknown field"),
        ({"items": [{"item": 1, "key": "a\0"}]}, "items[0].key", "up to 200 characters"),
        ({"items": [{"item": "x" * 262_143}]}, "items[0].item", "at most 262144 bytes"),
        ({"items": [{"item": 1}], "key": "k"}, "key", "has its own"),
        ({"item": 1, "price": 2}, "price", "unknown field"),
        ([1], "body", "Expected `object`"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_half_applied(call, job, body, field, says):
    answer = call("POST", "/notes/items", body, status=422)
    assert answer["type"] == "invalid-fields"
    (error,) = answer["errors"]
    assert error["field"] == field
    assert says in error["message"]
    assert left(job) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"item": NaN}',
        b'{"item": "\xff"}',
        b'{"item": "\\ud800"}',
        b'{"item": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_is_refused(call, job, body):
    call("POST", "/notes/items", body, status=400)
    assert left(job) == 0


def test_an_unknown_job_is_named_with_those_there_are(call, job):
    paths = ["items", "run", "pause", "resume", "dead-letters/replay", "dead-letters/discard"]
    for path in paths:
        body = {"all": True} if "dead" in path else {"item": 1}
        answer = call("POST", f"/nothing/{path}", body, status=404)
        assert (answer["type"], answer["known"]) == ("unknown-job", ["notes"])
    for path in ("progress", "runs/1", "dead-letters"):
        assert call("GET", f"/nothing/{path}", status=404)["type"] == "unknown-job"


def test_a_full_job_answers_429_and_when_to_come_again(call):
    for policy in ("refuse", "wait"):
        job = make("notes", handler="ledger", high_water_items=2, low_water_items=0)
        Job.objects.filter(pk=job.pk).update(past_high_water=policy)
        Item.objects.create(job=job, payload="1")
        fullness.forget()
        answer = call("POST", "/notes/items", {"items": [{"item": 1}] * 2}, status=429, whole=True)
        assert answer.json()["type"] == "job-full"
        assert 1 <= int(answer["Retry-After"]) <= 60
        Item.objects.all().delete()
    assert left(job) == 0


def test_only_this_path_takes_large_bodies(call, job):
    items = [{"item": {"n": n, "pad": "x" * 100_000}} for n in range(20)]
    body = json.dumps({"items": items}).encode()
    assert len(body) > 1024**2
    assert call("POST", "/notes/items", body, status=202)["accepted"] == 20
    call("POST", "/notes/dead-letters/replay", body, status=413)
    call("POST", "/notes/items/more", body, status=413)
    answer = call("POST", "/notes/items", b" " * (16 * 1024**2 + 1), status=413)
    assert str(16 * 1024**2) in answer["detail"]


def test_while_the_database_is_away_it_says_so(call, job, client):
    def away(*_):
        raise OperationalError("the server has gone away")

    with connection.execute_wrapper(away):
        for method, path, body in [
            ("POST", "/notes/items", {"item": 1}),
            ("POST", "/unknown/items", {"item": 1}),  # who knows
            ("GET", "", None),
            ("GET", "/notes/progress", None),
            ("POST", "/notes/run", None),
            ("POST", "/notes/pause", None),
            ("GET", "/notes/dead-letters", None),
        ]:
            answer = call(method, path, body, status=503, whole=True)
            assert answer["Retry-After"] == "1"
            assert answer.json()["type"] == "temporary-reduced-capacity"


def test_progress_is_one_query(call, job):
    call("POST", "/notes/items", {"items": [{"item": {"n": n}} for n in range(5)]}, status=202)
    with CaptureQueriesContext(connection) as queries:
        before = call("GET", "/notes/progress")
    assert len(queries) == 1
    assert (before["state"], before["left"], before["done"]) == ("working", 5, 0)
    work("notes")
    after = call("GET", "/notes/progress")
    assert (after["state"], after["left"], after["done"], after["fraction"]) == ("idle", 0, 5, 1.0)
    make()
    assert [one["job"] for one in call("GET", "")] == ["notes", "products"]


def test_a_run_is_handed_to_a_worker(call, job):
    submit_many("notes", [{"n": n, "poison": n == 2} for n in range(5)])
    begun = call("POST", "/notes/run", status=202)
    assert (begun["state"], begun["trigger"], begun["actor"]) == ("running", "api", "key:bot")
    sent: Any = redis_call(lambda redis: redis.lpop("tuneup"))
    message = json.loads(sent)
    assert message["headers"]["task"] == "batches.run"
    overlap = call("POST", "/notes/run", status=409)
    assert overlap["type"] == "run-going-on"
    assert [one.pk for one in runs.unfinished()] == [begun["id"]]  # should the message be lost
    assert tasks.run("notes", run_id=begun["id"]) == "done"
    assert tasks.run("notes", run_id=begun["id"]) == "elsewhere"
    ended = call("GET", f"/notes/runs/{begun['id']}")
    assert (ended["state"], ended["done"], ended["failed"], ended["total"]) == ("done", 4, 1, 5)
    make()
    assert call("GET", f"/products/runs/{begun['id']}", status=404)["type"] == "unknown-run"
    assert Ledger.objects.count() == 4


def test_a_run_whose_worker_cannot_be_told_is_found_by_the_sweep(call, job, settings, monkeypatch):
    from celery import current_app

    def away(*_, **__):
        raise ConnectionError("no broker")

    monkeypatch.setattr(current_app, "send_task", away)
    begun = call("POST", "/notes/run", status=202)
    assert [one.pk for one in runs.unfinished()] == [begun["id"]]


def test_pausing_is_a_revision_and_resuming_clears_a_stop(call, job):
    submit_many("notes", [{"n": 1}])
    assert call("POST", "/notes/pause")["state"] == "paused"
    revision = Revision.objects.latest("number")
    assert (revision.actor, revision.channel) == ("key:bot", "api")
    assert revision.reason == "Paused"
    assert work("notes").ended == "paused"
    call("POST", "/notes/pause")
    assert Revision.objects.latest("number") == revision  # it was paused already
    JobState.objects.update_or_create(
        job=job, defaults={"stopped_at": timezone.now(), "stopped_because": "why", "skipped": 9}
    )
    assert call("GET", "/notes/progress")["because"] == "why"
    assert call("POST", "/notes/resume")["state"] == "working"
    assert (state(job).stopped_at, state(job).skipped) == (None, 0)
    assert work("notes").done == 1


def test_dead_letters_are_listed_replayed_and_discarded(call, job):
    submit_many("notes", [submitting.Entry({"n": n, "poison": True}, f"k{n}") for n in range(5)])
    work("notes")
    page = call("GET", "/notes/dead-letters?limit=2&offset=1&error_type=ValueError")
    assert page["total"] == 5
    assert [one["item"]["n"] for one in page["dead_letters"]] == [3, 2]
    assert page["dead_letters"][0]["error"] == "3 is poison"
    assert call("GET", "/notes/dead-letters?error_type=KeyError")["total"] == 0
    ids = [one["id"] for one in page["dead_letters"]]
    other = make()
    assert call("POST", "/products/dead-letters/replay", {"ids": ids}) == {
        "replayed": 0,
        "waiting": 0,
    }
    assert call("POST", "/notes/dead-letters/replay", {"ids": [*ids, 10**6]}) == {
        "replayed": 2,
        "waiting": 0,
    }
    assert [key for _, key, _ in payloads(job)] == ["k2", "k3"]
    assert call("POST", "/notes/dead-letters/discard", {"ids": [10**6]}) == {
        "discarded": 0,
        "waiting": 0,
    }
    assert call("POST", "/notes/dead-letters/discard", {"all": True}) == {
        "discarded": 3,
        "waiting": 0,
    }
    assert not DeadLetter.objects.exists()
    assert left(other) == 0


def test_a_dead_letter_that_is_no_json_any_more_is_shown_as_text(call, job):
    now = timezone.now()
    DeadLetter.objects.create(
        job=job, item_id=1, payload="{broken", error_type="E", error="e", created_at=now
    )
    assert call("GET", "/notes/dead-letters")["dead_letters"][0]["item"] == "{broken"


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": [1], "all": True}, {"all": False}, {"ids": [0]}, {"ids": ["1"]}],
)
def test_which_dead_letters_must_be_said(call, job, body):
    call("POST", "/notes/dead-letters/discard", body, status=422)


def test_a_key_needs_the_scope(client, job):
    token = keys.issue(name="other", scopes=["caching"])[1]
    answer = client.post(
        f"{BASE}/notes/items",
        '{"item": 1}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 403
    assert left(job) == 0


def test_an_item_that_is_nested_very_deep_is_refused(call, job):
    body = b'{"item": ' + b"[" * 500 + b"]" * 500 + b"}"
    problem = call("POST", "/notes/items", body, status=422)
    assert problem["errors"][0]["field"] == "items[0].item"
    assert "at most 100 deep" in problem["errors"][0]["message"]
    # One that is there all the same is poison, and breaks no list.
    Item.objects.create(job=job, payload="[" * 100_000 + "]" * 100_000)
    assert work("notes").failed == 1
    assert call("GET", "/notes/dead-letters")["dead_letters"][0]["item"][:3] == "[[["


def test_more_items_than_a_job_has_room_for_are_said_to_be_too_many(call):
    make("notes", handler="ledger", high_water_items=2, low_water_items=1)
    problem = call("POST", "/notes/items", {"items": [{"item": 1}] * 3}, status=422)
    assert problem["errors"] == [
        {"field": "items", "message": "At most 2 at once: that is the job's high-water mark."}
    ]

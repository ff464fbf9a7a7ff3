"""One request id from the call through the worker to the revision that it writes."""

import json
import logging

import pytest

from config.logging import logging_settings
from optimizer.control import keys
from optimizer.control.models import Revision
from optimizer.control.origin import current_origin, origin
from optimizer.operations.fast_path import FastPath
from ratelimit import fast
from tests.library.tasks import tune
from tests.processes import worker
from tests.wsgi import Answer, left_to_django

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
    pytest.mark.any_database,
]


def test_a_task_and_those_it_sends_carry_the_id_of_the_call(tmp_path):
    with worker(tmp_path) as running:
        with origin(channel="api", request_id="call-1"):
            asked = tune.delay(31, others=2)
        alone = tune.delay(41)
        running.wait_for(lambda: Revision.objects.filter(component="control").count() == 4)
        lines = running.wait_for(
            lambda: (
                len(running.lines(logger="bot.tasks", level="info")) == 4
                and running.lines(logger="bot.tasks")
            )
        )
        running.wait_for(lambda: len(running.lines(request_id="call-1")) >= 6)
    revisions = Revision.objects.filter(component="control").values_list("request_id", "channel")
    assert sorted(revisions) == sorted([("call-1", "worker")] * 3 + [(alone.id, "worker")])
    ids = [(line["request_id"], line["task"]) for line in lines]
    assert sorted(ids) == sorted([("call-1", "library.tune")] * 3 + [(alone.id, "library.tune")])
    assert asked.id in {line["task_id"] for line in lines}
    received = running.lines(logger="celery.worker.strategy", task_id=asked.id)
    assert [line["task"] for line in received] == ["library.tune"]


def test_everything_a_worker_says_has_one_form_and_no_secret(tmp_path):
    from tests.library.tasks import fail

    with worker(tmp_path) as running:
        with origin(request_id="call-2"):
            fail.delay()
        failed = running.wait_for(lambda: running.lines(level="error", request_id="call-2"))
        printed = running.wait_for(lambda: running.lines(event="printed by a task"))
        ready = running.text().index('"event": "celery@')
        said = running.text()[ready - 200 :].splitlines()[1:]
    assert "redis://:***@host" in failed[0]["exception"]
    assert printed[0]["request_id"] == "call-2"
    assert said and all(json.loads(line) for line in said)
    assert "geheim" not in running.text()


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", "ä"])
def test_an_id_that_is_not_well_formed_is_not_taken(given, key):
    call = Answer(FastPath(left_to_django), "POST", CHECK, {"subject": "a"}, **key, **asked(given))
    assert call.status == 200
    assert call.headers["x-request-id"] not in ("", given)


CHECK = "/internal/v1/ratelimit/check"


@pytest.fixture
def key():
    return {"HTTP_AUTHORIZATION": f"Bearer {keys.issue(name='bot', scopes=['ratelimit'])[1]}"}


def asked(request_id: str) -> dict[str, str]:
    return {"HTTP_X_REQUEST_ID": request_id}


def test_before_django_the_work_has_its_request_id_too(key, monkeypatch):
    seen = []

    def handler(body):
        seen.append(current_origin().request_id)
        return fast.ROUTES["check"](body)

    path = FastPath(left_to_django)
    route, scope, _ = path._routes[CHECK]
    monkeypatch.setitem(path._routes, CHECK, (route, scope, handler))
    call = Answer(path, "POST", CHECK, {"subject": "a"}, **key, **asked("mine-3"))
    assert (call.status, call.headers["x-request-id"], seen) == (200, "mine-3", ["mine-3"])
    assert current_origin().request_id == ""


@pytest.fixture
def access(caplog):
    level = logging_settings(level="INFO", style="text", access_log=True)["loggers"]
    caplog.set_level(level["tuneup.access"]["level"], "tuneup.access")
    return caplog


def test_the_access_log_tells_of_both_ways(key, access, client):
    client.get("/internal/v1/ratelimit/nothing-here")
    Answer(FastPath(left_to_django), "POST", CHECK, {"subject": "a"}, **key)
    told = [(r.method, r.route, r.status) for r in access.records if r.name == "tuneup.access"]
    assert told == [("GET", "unmatched", 404), ("POST", CHECK[1:], 200)]
    assert all(r.ms > 0 for r in access.records if r.name == "tuneup.access")


def test_the_access_log_is_off_unless_asked_for(key, client):
    assert not logging.getLogger("tuneup.access").isEnabledFor(logging.INFO)
    assert logging_settings(level="DEBUG", style="json")["loggers"]["tuneup.access"] == {
        "level": "WARNING"
    }

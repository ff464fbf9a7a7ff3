"""Every line has one form, holds no secret, and is written whatever it is about."""

import json
import logging
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from config.logging import LineFormatter
from optimizer.control.masking import mask, plain
from optimizer.control.origin import OriginMiddleware, origin

pytestmark = pytest.mark.any_database
KEY = "tu_abcdefgh_" + "s3cret" * 7
PROGRAM = f"""
import django; django.setup()
import logging, structlog
class Shy:
    def __repr__(self): raise RuntimeError("not now")
    def __str__(self): raise RuntimeError("not now")
log = logging.getLogger("optimizer.batches.somewhere")
around = []; around.append(around)
log.info("plain %s", 1)
log.info("fields", extra={{"name_of": "x", "n": 2, "around": around, "shy": Shy(), (1, 2): 3,
    "timestamp": "forged", "nan": float("nan"), "huge": 10**6000, "half": "\\ud800"}})
log.info("%d of %s", "not a number")
log.info("%s", Shy())
log.info("first\\n2026-01-01T00:00:00.000+00:00 [info ] forged \\x1b[31m")
log.info("key {KEY} at redis://:geheim@host/0", extra={{"password": "geheim"}})
logging.getLogger("django.server").error("from Django's own server")
logging.getLogger("celery.task").warning("from a task")
structlog.get_logger("bot.code").info("from structlog", colour="blue", token="geheim")
try:
    raise ValueError("password=geheim")
except ValueError:
    logging.getLogger("django.request").exception("failed")
    structlog.get_logger("bot.code").exception("failed too")
"""


def lines(style: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "LOG_FORMAT": style, **environment},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr.splitlines()


def test_json_is_one_object_a_line_whatever_is_logged():
    found = [json.loads(line, parse_constant=pytest.fail) for line in lines("json", DEBUG="true")]
    assert [one["event"].split()[0] for one in found] == [
        *("plain", "fields", "%d", "%s", "first", "key"),
        *("from", "from", "from", "failed", "failed"),
    ]
    assert all(
        list(one)[:5] == ["timestamp", "level", "logger", "event", "pid"]
        and one["timestamp"].endswith("+00:00")
        for one in found
    )
    assert found[0]["component"] == "batches"
    assert found[1]["n"] == 2 and found[1]["timestamp"] != "forged"
    assert "not a number" in found[2]["event"]
    assert found[8]["colour"] == "blue"
    assert all("ValueError: password=***" in one["exception"] for one in found[9:])


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_line_holds_a_secret(style):
    text = "\n".join(lines(style))
    assert "tu_abcdefgh_***" in text
    assert "geheim" not in text and "s3cret" not in text


def test_in_text_nobody_forges_a_line():
    found = lines("text")
    assert sum(" forged " in line for line in found) == 1
    assert not any(line.startswith("2026-01-01") or "\x1b" in line for line in found)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "{'Authorization': 'Basic ***'}"),
        ("sent Bearer abc.def-ghi_jkl to it", "sent Bearer *** to it"),
        ("redis://:p%40ss@host:6379/0", "redis://:***@host:6379/0"),
        ("postgres://user:a@b:c@host/db and more", "postgres://user:***@host/db and more"),
        ("redis://:a@h:1,redis://u:b@h:2", "redis://:***@h:1,redis://u:***@h:2"),
        ("host=db password=geheim dbname=x", "host=db password=*** dbname=x"),
        ("/login?next=/&token=geheim&a=1", "/login?next=/&token=***&a=1"),
        ('{"api_key": "ge\\"heim", "n": 1}', '{"api_key": "***", "n": 1}'),
        ("whsec_Z2VoZWlt is set", "whsec_*** is set"),
        ("http://host:8000/a@b is no password", "http://host:8000/a@b is no password"),
        ("no token came, password: too short", "no token came, password: too short"),
        (f"tu_abcdefgh_x and {KEY}", "tu_abcdefgh_*** and tu_abcdefgh_***"),
    ],
)
def test_secrets_in_texts_are_masked_and_the_rest_stays(text, shown):
    assert mask(text) == shown


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "api-key", "Authorization", "Cookie", "redis.secret"]
)
def test_a_field_with_the_name_of_a_secret_is_masked(name):
    assert plain({"a": [{name: "geheim"}]}) == {"a": [{name: "***"}]}


@pytest.mark.parametrize("name", ["tokens_left", "passwords_changed", "secretary", "key"])
def test_a_field_that_only_sounds_so_is_shown(name):
    assert plain({name: 3}) == {name: 3}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.builds(object),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)
    | st.tuples(inner, inner),
)  # fmt: skip


@given(anything)
def test_json_can_hold_whatever_was_made_plain(value):
    json.loads(json.dumps(plain(value), allow_nan=False))


def test_a_very_long_text_is_cut_in_its_middle():
    shown = mask(f"begin {'x' * 10**6} end")
    assert len(shown) < 20_000 and shown.startswith("begin") and shown.endswith("end")


def test_masking_a_hostile_text_takes_no_quadratic_time():
    for text in (
        "://a:" * 20_000,
        "password=" * 20_000,
        '"token": "\\' * 20_000,
        "bearer " * 20_000,
    ):
        mask(text)  # the suite's time limit would end it


def test_what_django_says_of_a_request_carries_its_id(caplog):
    def refuse(request):
        logging.getLogger("django.request").warning("Not found", extra={"request": request})

    request = RequestFactory().get("/admin/", headers={"X-Request-ID": "mine-1"})
    middleware = OriginMiddleware(lambda _: HttpResponse())
    middleware(request)
    refuse(request)  # as Django's handler does, outside of all middleware
    line = json.loads(LineFormatter(style="json").format(caplog.records[-1]))
    assert line["request_id"] == "mine-1" and "request" not in line


def test_a_line_says_for_which_request_and_task_it_is(caplog):
    with origin(request_id="mine-2", task_id="t-1", task="batches.drain"):
        logging.getLogger("celery.app.trace").warning("done")
        line = json.loads(LineFormatter(style="json").format(caplog.records[-1]))
    assert (line["request_id"], line["task_id"], line["task"]) == ("mine-2", "t-1", "batches.drain")
    assert line["component"] == "batches"

"""Troubles that end without a restart: each is made, then the runbook's commands are pasted."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pymongo
import pytest

from tests.end_to_end.admin_session import AdminSession
from tests.operations.runbook.book import eventually
from tests.operations.runbook.conftest import Installation

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]


def check(installation: Installation, subject: str) -> httpx.Response:
    body = {"subject": subject}
    return installation.http.post("/internal/v1/ratelimit/check", json=body)


def tier(installation: Installation) -> dict[str, object]:
    found: dict[str, object] = installation.api("GET", "control/settings/ratelimit")["tier"]["free"]
    return found


def roles(installation: Installation) -> set[str]:
    return {one["role"] for one in installation.api("GET", "control/processes")}


def test_all_is_well(installation):
    with installation.section("Is it well?") as step:
        assert json.loads(step.paste())["status"] == "up"
        lines = [line.split("\t") for line in step.paste().splitlines()]
        assert {"web", "worker", "beat"} <= {one[0] for one in lines}
        passed = step.paste().splitlines()[-1].split()
        assert passed[0] == passed[2] != "0"


def test_a_night_begins_and_ends(installation):
    with installation.section("Before you begin") as step:
        assert step.paste() == ""
        assert step.paste() == "revoked\n"


def test_a_setting_is_rolled_back(installation):
    before = tier(installation)
    worse = {"tier": {"free": {"capacity": 2}}}
    installation.api("PATCH", "control/settings/ratelimit?reason=worse", worse)
    with installation.section("Roll back a setting") as step:
        newest = step.paste().splitlines()[0].split("\t")
        assert (newest[2], newest[5]) == ("ratelimit", "worse")
        changed = json.loads(step.paste())
        assert changed["before"] != changed["after"]
        assert json.loads(step.paste())["revision"] == int(newest[0]) + 1
    assert tier(installation) == before


def test_redis_hangs_and_comes_back(installation):
    (hung,) = installation.freeze(r"(redis|valkey)-server \S*:\d+")
    eventually(lambda: installation.checks()["redis"] == "down")
    with installation.section("Redis is down") as step:
        status, of_redis, source = step.paste().splitlines()
        assert (status, source) == ('"degraded"', '"redis-away"')
        assert json.loads(of_redis)["error"]
        web = {one.pid for one in installation.family("granian")}
        step.paste()
        step.paste()
    assert installation.is_up()
    assert not hung.is_running()
    assert {one.pid for one in installation.family("granian")} == web


def test_a_worker_that_hangs_is_replaced(installation):
    path = "control/settings/control"
    before = installation.api("GET", path)
    installation.api("PATCH", path, {"settings": {"process_expiry_seconds": 7}})
    hung = installation.freeze(r"celery .* worker ")
    installation.api("POST", "batches/example/items", {"items": [{"item": {"n": 1}}]})
    eventually(lambda: installation.checks()["worker"] == "down")
    # Whoever is called comes later than that: it is no longer among the processes that are known.
    eventually(lambda: "worker" not in roles(installation))
    with installation.section("A worker is stuck") as step:
        assert "pong" not in (said := step.paste()) and "empty" not in said
        step.paste()
        assert "example\t" in step.paste()
    installation.api("PATCH", path, before)
    eventually(lambda: not any(one.is_running() for one in hung))
    eventually(lambda: installation.api("GET", "batches/example/progress")["left"] == 0)


def test_a_backlog_goes_away(installation):
    installation.api("POST", "batches/example/pause")
    items = [{"item": {"n": number, "poison": number == 7}} for number in range(300)]
    installation.api("POST", "batches/example/items", {"items": items})
    with installation.section("A backlog grows") as step:
        said = step.paste()
        assert said.splitlines()[0].split("\t")[:3] == ["example", "paused", "300"]
        step.paste()
        assert installation.api("GET", "batches/example/progress")["left"] == 0
        said = step.paste()
        assert "this item asks to be refused" in said
        assert said.endswith("1 item(s) replayed.\n")


def test_a_tier_is_loosened(installation):
    before = tier(installation)
    tight = {"tier": {"free": {"capacity": 1, "refill_tokens": 1, "refill_period_seconds": 3600}}}
    installation.api("PATCH", "control/settings/ratelimit", tight)
    eventually(lambda: check(installation, "user:42").status_code == 429)
    try:
        with installation.section("A tier is too tight") as step:
            assert "free\t\t1\t0\t" in step.paste()
            step.paste()
            eventually(lambda: check(installation, "user:42").json()["tier"] == "premium")
            said = step.paste().splitlines()
            assert len(said) == 6 and said[:3] == said[3:]
            eventually(lambda: check(installation, "user:43").json()["limit"] == 100)
            assert "enabled" in step.paste()
            answers = (check(installation, "user:44") for _ in range(1000))
            eventually(lambda: next(answers).json()["source"] != "redis")
    finally:
        again = {"settings": {"enabled": True}, "tier": {"free": before}}
        installation.api("PATCH", "control/settings/ratelimit", again)


def test_an_n_plus_one_is_found_and_settled(installation):
    query = {
        "sql": "SELECT * FROM book WHERE id = %s",
        "seconds": 1.0,
        "location": "bot/shop.py:12",
    }
    queries = [{**query, "parameters": [number]} for number in range(6)]
    report = {"unit": "/shop", "queries": queries}
    told = installation.api("POST", "queries/report", report)["findings"]
    (found,) = [one for one in told if one["kind"] == "n_plus_one"]
    path = "queries/findings?state=open&kind=n_plus_one&limit=100"

    def is_stored() -> bool:
        stored = installation.api("GET", path)["findings"]
        return "bot/shop.py:12" in {one["location"] for one in stored}

    eventually(is_stored)
    with installation.section("An N+1 in production") as step:
        assert f"n_plus_one\tbot/shop.py:12\t6\t{found['suggestion'][:20]}" in step.paste()
        step.paste()
        settled = json.loads(step.paste())
    assert settled["state"] == "fixed"
    assert installation.api("GET", f"queries/findings/{settled['id']}")["state"] == "fixed"


class Backend(BaseHTTPRequestHandler):
    """A backend whose checks are well, and whose work fails where it is told to."""

    def do_GET(self) -> None:  # noqa: N802 (the library's name)
        fails = self.path != "/health" and self.server.fails  # type: ignore[attr-defined]
        self.send_response(500 if fails else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def backend(*, fails: bool) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    server.fails = fails  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def states(installation: Installation) -> dict[str, str]:
    (group,) = installation.api("GET", "balancer")
    return {one["name"]: one["state"] for one in group["backends"]}


def test_an_ejected_backend_is_put_back(installation):
    with backend(fails=False) as good, backend(fails=True) as bad:
        rows = {
            "good": {"group": "example", "address": good},
            "bad": {"group": "example", "address": bad},
        }
        group = {"example": {"ejection_seconds": 300.0, "strategy": "round_robin"}}
        installation.api("PATCH", "control/settings/balancer", {"group": group, "backend": rows})
        eventually(
            lambda: (
                set(states(installation).values()) == {"in use"} and len(states(installation)) == 3
            )
        )

        def ejected() -> bool:
            installation.http.get("/internal/v1/balancer/example/forward/work")
            return states(installation)["bad"] == "ejected"

        eventually(ejected)
        with installation.section("A backend is ejected") as step:
            assert "example\tbad\tejected\t" in step.paste()
            assert step.paste() == "It gets calls again within a second.\n"
            assert "ejects" in step.paste()
        eventually(lambda: states(installation)["bad"] == "in use")


def test_an_api_key_is_rotated(installation):
    old = {"Authorization": f"Bearer {installation.first_key}"}
    path = f"{installation.address}/internal/v1/ratelimit/top"
    assert httpx.get(path, headers=old, timeout=60).status_code == 200
    with installation.section("Rotate an API key") as step:
        assert step.paste() == "200\n"
        assert step.paste() == "revoked\n"
    eventually(lambda: httpx.get(path, headers=old, timeout=60).status_code == 401)


def test_a_lost_password_is_replaced(installation):
    fresh = secrets.token_urlsafe(16)
    with installation.section("The admin's password is lost") as step:
        assert "Password changed successfully" in step.paste(answers=f"{fresh}\n{fresh}\n")
    installation.password = fresh
    with AdminSession(installation.address, fresh) as admin:
        assert "Dashboard" in admin.get("/admin/")


def test_an_alert_is_silenced_and_a_mail_is_tried(installation):
    with installation.section("An alert fires") as step:
        assert "silenced_until" in step.paste()
        assert "To: oncall@example.com" in step.paste()
    rules = installation.api("GET", "control/settings/operations")["alertrule"]
    assert rules["Something is away"]["silenced_until"]


def test_what_keeps_the_history_is_looked_at(installation):
    with installation.section("The history has gaps") as step:
        assert all(one["status"] == "up" for one in json.loads(step.paste()).values())


def test_a_missing_index_is_made(installation, mongo_url):
    row = {"collection": "messages", "keys": "guild, -sent_at"}
    installation.api("PATCH", "control/settings/operations", {"documentindex": {"by_guild": row}})
    database = f"runbook_{secrets.token_hex(4)}"
    mongo = {"MONGODB_URI": mongo_url, "MONGODB_DATABASE": database}
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(mongo_url)
    with client:
        client[database]["messages"].insert_one({"guild": 1, "sent_at": 2})
        with installation.section("A MongoDB index is missing", **mongo) as step:
            said = step.paste()
            assert "missing" in said and "1 index not as wanted" in said
            assert step.paste().endswith("All are as wanted.\n")
        assert "by_guild" in client[database]["messages"].index_information()
        client.drop_database(database)


def test_prometheus_is_let_in(installation):
    with installation.section("Prometheus gets 401 or 400") as step:
        assert step.paste() == "401\n200\n"
        assert step.paste() == "400\n"


def test_the_lines_of_one_request_are_found(installation):
    with installation.section("Logs of one request") as step:
        line = json.loads(step.paste().splitlines()[0])
        assert line["logger"] == "tuneup.access"
        step.paste()
    assert json.loads((installation.checkout / "var" / "granian-logging.json").read_text())


def test_cached_values_go_and_pools_are_seen(installation):
    installation.api("PUT", "caching/default/profile:1", {"value": "old", "ttl_seconds": 600})
    with installation.section("Caches and pools") as step:
        assert step.paste() == "1 value(s) invalidated.\n"
        assert {"redis", "cache"} <= {line.split("\t")[0] for line in step.paste().splitlines()}
    assert installation.http.get("/internal/v1/caching/default/profile:1").status_code == 404

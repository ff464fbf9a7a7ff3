import json
import os

import pytest

from optimizer.control import keys
from optimizer.operations import health
from optimizer.operations.models import OperationsSettings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis")]


@pytest.fixture
def bearer():
    return {"Authorization": f"Bearer {keys.issue(name='ops', scopes=['operations'])[1]}"}


def test_health_touches_nothing(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/health")
    assert answer.json() == {"status": "up"}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.usefixtures("redis_away")
def test_health_is_up_while_redis_is_away(client):
    assert client.get("/health").status_code == 200


def test_ready_is_degraded_without_a_worker_and_tells_why_to_a_key_alone(client, bearer):
    assert client.get("/ready").json() == {"status": "degraded"}
    document = client.get("/ready", headers=bearer).json()
    assert document["checks"]["database"]["status"] == "up"
    assert document["checks"]["worker"]["error"] == "no worker has reported lately"


def test_ready_without_a_critical_part_is_503(client, bearer, monkeypatch):
    def gone() -> None:
        raise health.CheckFailed("the table is gone")

    broken = health.HealthCheck("database", gone, critical=True)
    monkeypatch.setattr(health, "CHECKS", (broken,))
    answer = client.get("/ready", headers=bearer)
    assert answer.status_code == 503
    document = answer.json()
    assert document["readiness"] == "down"
    assert document["checks"]["database"]["error"] == "the table is gone"
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.usefixtures("redis_away")
def test_ready_is_degraded_while_redis_is_away(client, bearer):
    document = client.get("/ready", headers=bearer).json()
    assert document["status"] == "degraded"
    assert document["checks"]["redis"]["error"] == "RedisAway"


def test_a_check_that_hangs_is_given_up_and_not_started_again():
    import threading

    release, started = threading.Event(), []

    def hang() -> None:
        started.append(1)
        release.wait(10)

    check = health.HealthCheck("slow", hang)
    assert "no answer within 0.05 s" in check.result(0.05).error
    assert "has not come back" in check.result(0.05).error
    release.set()
    assert started == [1]


def test_metrics_are_for_a_key_or_an_allowed_network(client, bearer):
    assert client.get("/metrics").status_code == 200  # from the loopback network
    OperationsSettings(metrics_allowed_networks="10.0.0.0/8").save()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=bearer).status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="::1").status_code == 401
    assert client.get("/metrics", REMOTE_ADDR="").status_code == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_metrics_behind_a_proxy_nobody_told_of_need_a_key(client, bearer, header):
    said = {header: "for=203.0.113.9" if header == "Forwarded" else "203.0.113.9"}
    assert client.get("/metrics", headers=said).status_code == 401
    assert client.get("/metrics", headers={**said, **bearer}).status_code == 200
    OperationsSettings(trusted_proxy_count=1, metrics_allowed_networks="10.0.0.0/8").save()
    known = {"X-Forwarded-For": "10.1.2.3"}
    assert client.get("/metrics", headers=known).status_code == 200
    if header == "X-Forwarded-For":
        assert client.get("/metrics", headers=said).status_code == 401


def test_metrics_count_requests_by_route_and_never_by_path(client):
    client.get("/nothing/here/some-path")
    client.get("/health")
    text = client.get("/metrics").content.decode()
    assert 'route="health"' in text
    assert 'route="unmatched"' in text
    assert "some-path" not in text


def test_the_api_root_names_the_components_and_tells_more_to_a_key(client, bearer):
    public = client.get("/api/").json()["components"]
    assert public["ratelimit"] == {"title": "Rate limiter", "settings": "live"}
    detailed = client.get("/api/", headers=bearer).json()["components"]
    assert detailed["ratelimit"]["status"]["enabled"] is True


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/api/"])
def test_only_reading_is_allowed(client, path):
    answer = client.post(path)
    assert answer.status_code == 405
    assert answer["Content-Type"] == "application/problem+json"
    assert "GET" in answer["Allow"]


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "x", "10.0.0.1/8"])
def test_networks_that_are_none_are_refused(networks):
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError, match="metrics_allowed_networks"):
        OperationsSettings(metrics_allowed_networks=networks).full_clean()


def test_settings_are_read_and_changed_over_the_api(client):
    token = keys.issue(name="admin", scopes=["control"])[1]
    headers = {"Authorization": f"Bearer {token}"}
    path = "/internal/v1/control/settings/operations"
    assert client.get(path, headers=headers).json()["settings"]["login_rate_per_minute"] == 10

    def patch(document, query=""):
        body = json.dumps(document)
        return client.patch(
            f"{path}{query}", body, content_type="application/json", headers=headers
        )

    refused = patch({"settings": {"login_rate_per_minute": -1, "check_timeout_seconds": 99}})
    assert refused.status_code == 422
    errors = {one["field"]: one["message"] for one in refused.json()["errors"]}
    assert (
        errors.get("operations.settings.check_timeout_seconds", errors)
        == "Must be between 0.1 s and 30 s."
    )
    assert "between 0 requests and" in errors["operations.settings.login_rate_per_minute"]
    good = {"settings": {"login_rate_per_minute": 5}}
    assert patch(good, "?dry_run=true").json()["dry_run"] is True
    assert OperationsSettings.load().login_rate_per_minute == 10
    assert patch(good, "?reason=less").status_code == 200
    assert OperationsSettings.load().login_rate_per_minute == 5
    newest = client.get("/internal/v1/control/revisions?limit=1", headers=headers).json()[0]
    assert (newest["reason"], newest["actor"], newest["channel"]) == ("less", "key:admin", "api")

    def post(url, document):
        body = json.dumps(document)
        return client.post(url, body, content_type="application/json", headers=headers)

    base = f"/internal/v1/control/revisions/{newest['number']}"
    patch({"settings": {"login_rate_per_minute": 6}})
    conflict = post(f"{base}/revert", {})
    assert conflict.status_code == 409
    assert "changed since" in conflict.json()["errors"][0]["message"]
    assert post(f"{base}/revert", {"force": True}).status_code == 200
    assert OperationsSettings.load().login_rate_per_minute == 10
    assert post(f"{base}/confirm", {}).json() == {"confirmed": False}
    assert post("/internal/v1/control/revisions/999/revert", {}).status_code == 404
    brief = patch(good, "?revert_after_seconds=60&unless_confirmed=true")
    assert brief.status_code == 200
    newest = client.get("/internal/v1/control/revisions?limit=1", headers=headers).json()[0]
    base = f"/internal/v1/control/revisions/{newest['number']}"
    assert post(f"{base}/confirm", {}).json() == {"confirmed": True}
    assert patch(good, "?revert_after_seconds=0").status_code == 422
    assert client.get("/internal/v1/control/processes", headers=headers).json() == []
    assert client.get(f"{path}x", headers=headers).status_code == 404


def test_gauges_of_killed_processes_are_dropped(tmp_path):
    import subprocess
    import sys

    from optimizer.operations.metrics import _forget_the_dead

    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead, alive = (tmp_path / f"gauge_livesum_{pid}.db" for pid in (child.pid, os.getpid()))
    counter = tmp_path / f"counter_{child.pid}.db"
    for file in (dead, alive, counter):
        file.touch()
    _forget_the_dead(tmp_path)
    assert [file.exists() for file in (dead, alive, counter)] == [False, True, True]


def test_the_api_shows_and_reverts_nothing_of_keys(client):
    token = keys.issue(name="admin", scopes=["control"])[1]
    keys.issue(name="stolen")
    keys.revoke("stolen")
    headers = {"Authorization": f"Bearer {token}"}
    listed = client.get("/internal/v1/control/revisions", headers=headers)
    assert "digest" not in listed.content.decode()
    number = listed.json()[0]["number"]
    url = f"/internal/v1/control/revisions/{number}/revert"
    answer = client.post(url, "{}", content_type="application/json", headers=headers)
    assert answer.status_code == 403

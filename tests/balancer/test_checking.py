"""Active checks: each kind against a real server, when backends fall and rise, what beat runs."""

import os
import socket
import threading

import msgspec
import pytest

from optimizer.balancer import balancer, live
from optimizer.balancer.engine.settings import Backend, Group
from optimizer.balancer.models import Group as GroupRow
from optimizer.balancer.services import checking, sharing
from optimizer.balancer.services.checking import Checked, judge
from optimizer.balancer.tasks import check
from optimizer.operations.embedded_redis import free_port
from tests.balancer.case import make
from tests.balancer.server import server, servers
from tests.control.test_propagation import wait_until

pytestmark = [pytest.mark.any_database, pytest.mark.django_db, pytest.mark.usefixtures("redis")]


def found(kind, address, group="http", *, seconds=30.0, **fields):
    settings = Group("g", kind=group, check_kind=kind, check_timeout_seconds=seconds, **fields)
    return checking.check(settings, Backend("b", address))


def test_http_looks_at_status_and_body():
    with server(parts=[b"all is ", b"well"]) as one:
        assert found("http", f"{one.url}/base", check_path="/up?x=1").healthy
        assert one.seen[0].path == "/base/up?x=1"
        assert one.seen[0].header("User-Agent") == "tuneup-health-check"
        assert found("http", one.url, check_body="is well").healthy
        assert "has no 'is ill'" in found("http", one.url, check_body="is ill").says
        one.status = 503
        assert found("http", one.url).says == "Unhealthy: answers 503"
        assert found("http", one.url, check_status="200,503").healthy


def test_a_check_has_a_time_limit():
    gate = threading.Event()
    with server(gate=gate) as one:
        slow = found("http", one.url, seconds=0.5, check_body="hello")
        assert not slow.healthy
        gate.set()  # not before: it did not wait for the page
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        assert not found("redis", address, "redis", seconds=0.5).healthy


def test_tcp_redis_and_sql():
    with server() as one:
        assert found("tcp", f"127.0.0.1:{one.port}", "tcp").healthy
        assert not found("redis", f"redis://127.0.0.1:{one.port}/0", "redis", seconds=5).healthy
    assert "ConnectionRefused" in found("tcp", f"127.0.0.1:{free_port()}", "tcp").says
    assert found("redis", os.environ["REDIS_URL"], "redis").healthy
    assert found("sql", "default", "database").healthy
    assert not found("sql", "nowhere", "database").healthy


def test_an_address_that_may_not_be_called_is_not_checked():
    assert "not in the allowed networks" in found("http", "http://169.254.169.254/").says


def test_a_backend_falls_and_rises_after_several_checks():
    group = Group("g", check_fall=3, check_rise=2)
    good, bad = Checked(True, 0.01), Checked(False, 0.01, "answers 500")
    health, states = None, []
    for one in (good, bad, bad, good, bad, bad, bad, good, bad, good, good):
        health = judge(health, one, group, 0.0)
        states.append(health.healthy)
    assert states == [True] * 6 + [False] * 4 + [True]


def test_the_first_verdict_holds_at_once():
    assert not judge(None, Checked(False, 0.0), Group("g"), 0.0).healthy


def test_beat_checks_what_is_due_and_every_process_knows():
    with servers(3) as three:
        make(
            "api",
            *(one.url for one in three),
            check_kind="http",
            check_fall=1,
            check_rise=1,
            check_interval_seconds=60.0,
        )
        make("quiet", three[0].url.replace("http://", ""), kind="tcp")
        three[1].status = 500
        assert check() == 3
        assert check() == 0  # none is due yet
        assert [len(one.seen) for one in three] == [1, 1, 1]
        group = balancer.group("api")
        for _ in range(10):
            sharing.sync.tick()
        assert [one.healthy for one in group.endpoints.values()] == [True, False, True]
        assert [one.healthy for one in balancer.group("quiet").endpoints.values()] == [None]
        assert {group.begin().name for _ in range(20)} == {"api-0", "api-2"}


def test_an_old_verdict_counts_for_nothing_and_one_of_a_gone_backend_is_dropped(redis):
    make("api", "http://127.0.0.1:9001", check_kind="tcp")
    shared = sharing.read()
    old = sharing.Health(False, shared.now - 3600)
    redis.hset(sharing.HEALTH, "api/api-0", msgspec.json.encode(old))
    redis.hset(sharing.HEALTH, "api/gone", msgspec.json.encode(old))
    group = balancer.group("api")
    for _ in range(10):
        sharing.sync.tick()
    assert group.endpoints["api-0"].healthy is None
    check()
    assert list(sharing.read().health) == ["api/api-0"]


def test_checks_that_are_switched_off_count_no_more():
    with server(status=500) as one:
        make("api", one.url, check_kind="http", panic_percent=0)
        check()
        group = balancer.group("api")
        for _ in range(10):
            sharing.sync.tick()
        assert group.endpoints["api-0"].healthy is False
        GroupRow.objects.update(check_kind="none")
        live.balancer.reload()
        for _ in range(10):
            sharing.sync.tick()
        assert group.endpoints["api-0"].healthy is None


def test_one_worker_checks_at_a_time(redis):
    make("api", "http://127.0.0.1:9001", check_kind="tcp")
    redis.set(checking.TURN, "1", ex=60)
    assert check() == 0
    redis.delete(checking.TURN)
    assert check() == 1
    assert not redis.exists(checking.TURN)


def test_many_backends_are_checked_at_once():
    """Each is answered when all have come: one after the other they would time out."""
    gate = threading.Event()
    with server(gate=gate) as one:

        def open_when_all_are_there():
            wait_until(lambda: len(one.seen) == 12, 20)
            gate.set()

        threading.Thread(target=open_when_all_are_there, daemon=True).start()
        addresses = [f"{one.url}/{n}" for n in range(12)]
        make("api", *addresses, check_kind="http", check_body="o", check_timeout_seconds=10.0)
        assert check() == 12
    assert all(one.healthy for one in sharing.read().health.values())


@pytest.mark.usefixtures("redis_away")
def test_without_redis_nothing_is_checked():
    make("api", "http://127.0.0.1:9001", check_kind="tcp")
    assert check() == 0

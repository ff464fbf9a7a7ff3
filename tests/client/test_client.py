import asyncio
import socket
import threading

import pytest

from optimizer.client import (
    ApiError,
    AsyncTuneup,
    Charge,
    InvalidFields,
    LimiterAway,
    Tuneup,
    Unauthorized,
    Unavailable,
)
from optimizer.client.protocol import check, read_answer
from optimizer.control import keys
from optimizer.operations.models import OperationsSettings
from ratelimit.models import RatelimitSettings, Scope, Tier
from ratelimit.services import reporter

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]


class Blocking:
    """The asyncio client, called as the other one is, so that one suite runs over both."""

    def __init__(self, *arguments, **options):
        self.made = arguments, options

    def __getattr__(self, name):
        def call(*arguments, **options):
            async def run():
                async with AsyncTuneup(*self.made[0], **self.made[1]) as client:
                    return await getattr(client, name)(*arguments, **options)

            return asyncio.run(run())

        return call

    def close(self):
        pass


@pytest.fixture(params=[Tuneup, Blocking], ids=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
def token():
    tier = Tier.objects.create(
        name="small", capacity=2, refill_tokens=1, refill_period_seconds=3600
    )
    RatelimitSettings(default_tier=tier).save()
    return keys.issue(name="bot", scopes=["ratelimit"])[1]


@pytest.fixture
def client(kind, live_server, token):
    client = kind(live_server.url, token)
    yield client
    client.close()


def test_a_check_is_a_decision_and_so_is_a_denial(client):
    first = client.check("user:1", cost=2)
    assert first
    assert (first.allowed, first.tier, first.limit, first.remaining) == (True, "small", 2, 0)
    second = client.check("user:1")
    assert not second
    assert 3500 < second.retry_after_seconds <= 3600


def test_every_operation_reaches_the_limiter(client):
    Scope.objects.create(name="play")
    many = client.check_many([Charge("a"), ("b", 2), ("b", 1)])
    assert [bool(one) for one in many] == [True, True, False]
    verdict = client.check_all([("a", 1), ("b", 1), ("c", 1, "play")])
    assert not verdict
    assert verdict.violated_policies == ("small",)
    assert client.check_all([("a", 1), ("c", 1, "play")])
    assert client.peek("a").remaining == 0
    assert client.refund("a", 1) == 1
    assert client.grant("a", 5) == 6
    client.reset("a")
    assert client.peek("a").remaining == 2
    client.assign("guild:1/x", access="deny", expires_after_seconds=60)
    assert not client.check("guild:1/x")
    standing = client.status("guild:1/x")
    assert standing.access == "deny"
    assert [one.scope for one in standing.buckets] == ["", "play"]
    client.unassign("guild:1/x")
    assert client.check("guild:1/x")
    reporter.report()
    assert {one.subject: one.calls for one in client.top()}["b"] == 3
    client.release("a", "no-such-slot")


def test_a_scope_nobody_made_names_those_there_are(client):
    with pytest.raises(InvalidFields, match="scope must be one of"):
        client.check("user:1", scope="dance")


def test_a_bad_cost_names_the_field_and_the_range(client):
    with pytest.raises(InvalidFields, match=r"cost: .*between 1 and 2") as caught:
        client.check("user:1", cost=3)
    assert caught.value.problem.errors[0]["field"] == "cost"


def test_a_revoked_key_is_unauthorized(client):
    keys.revoke("bot")
    with pytest.raises(Unauthorized):
        client.check("user:1")


def test_the_outer_wall_is_an_error_and_no_decision(kind, live_server):
    OperationsSettings(anonymous_rate_per_minute=1).save()
    client = kind(live_server.url, "tu_unknown0_" + "x" * 43)
    with pytest.raises(Unauthorized):
        client.check("u")
    with pytest.raises(ApiError) as caught:
        client.check("u")
    assert caught.value.problem.type == "outer-wall"
    assert caught.value.retry_after_seconds is not None
    client.close()


@pytest.mark.usefixtures("redis_away")
def test_a_limiter_that_cannot_decide_is_an_error_of_its_own(client):
    Tier.objects.update(when_redis_is_away="closed")
    with pytest.raises(LimiterAway) as caught:
        client.check("user:1")
    assert caught.value.retry_after_seconds == 1


def test_nobody_there_is_unavailable(kind):
    with pytest.raises(Unavailable):
        kind("http://127.0.0.1:1", "key", timeout_seconds=0.5).check("u")


def test_a_call_that_was_sent_is_not_sent_again(kind):
    """The tokens may be spent already; only the bot knows whether to ask again."""
    calls = []

    def serve(server):
        server.settimeout(3)
        try:
            while True:
                connection, _ = server.accept()
                with connection:
                    calls.append(connection.recv(65536))
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(Unavailable):
            kind(f"http://127.0.0.1:{server.getsockname()[1]}", "key").check("u")
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (502, b"Bad gateway"), (200, b"{}")]
)
def test_an_answer_of_another_form_is_an_api_error(status, body):
    with pytest.raises(ApiError, match="cannot be read"):
        read_answer(check("u", 1, ""), status, body, {})


def test_many_threads_share_one_client(live_server, token):
    Tier.objects.update(capacity=1000)
    with Tuneup(live_server.url, token) as client:
        found: list[bool] = []

        def work():
            found.extend(client.check("user:1").allowed for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 30

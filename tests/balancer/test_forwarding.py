"""Forwarded calls over real HTTP: what passes, what does not, what is sent again."""

import threading
import time

import pytest

from optimizer.balancer import balancer
from optimizer.balancer.models import Backend, BalancerSettings
from optimizer.balancer.services import places
from optimizer.control import keys, live
from optimizer.operations.embedded_redis import free_port
from tests.balancer.case import make
from tests.balancer.server import server, servers

TOKEN = f"tu_balancer_{'x' * 43}"
pytestmark = [pytest.mark.any_database, pytest.mark.django_db, pytest.mark.usefixtures("redis")]


@pytest.fixture
def call(client):
    keys.issue(name="bot", token=TOKEN)

    def send(path, method="GET", body=b"", content_type="application/octet-stream", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.generic(
            method,
            f"/internal/v1/balancer/{path}",
            body,
            content_type=content_type,
            headers={"Authorization": f"Bearer {TOKEN}", **named},
        )

    return send


def body_of(response) -> bytes:
    return b"".join(response.streaming_content)


def test_a_call_and_its_answer_pass(call):
    with server(status=201, headers={"X-Own": "yes"}, parts=[b"one ", b"two"]) as one:
        make("api", f"{one.url}/base")
        answer = call("api/forward/a%20b/c?x=1&y=%2F", "POST", b"\x00\x01", X_Mine="mine")
        assert (answer.status_code, body_of(answer)) == (201, b"one two")
        assert (answer["X-Own"], answer["X-Balancer-Backend"]) == ("yes", "api-0")
        [seen] = one.seen
        assert (seen.method, seen.path) == ("POST", "/base/a%20b/c?x=1&y=%2F")
        assert (seen.body, seen.header("X-Mine")) == (b"\x00\x01", "mine")
        assert seen.header("Host") == f"127.0.0.1:{one.port}"
        assert seen.header("Content-Type") == "application/octet-stream"
    assert balancer.group("api").endpoints["api-0"].successes == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes(call, method):
    with server() as one:
        make("api", one.url)
        answer = call("api/forward/x", method)
        assert answer.status_code == 200
        assert body_of(answer) == (b"" if method == "HEAD" else b"hello")
        assert one.seen[0].method == method


def test_neither_key_nor_cookies_nor_hop_by_hop_headers_pass(call):
    kept = {"Set-Cookie": "a=b", "Keep-Alive": "5", "X-Hop": "1", "Connection": "X-Hop"}
    with server(headers=kept) as one:
        make("api", one.url)
        answer = call(
            "api/forward/",
            Cookie="sessionid=secret",
            Connection="X-Private, close",
            X_Private="1",
            TE="trailers",
            X_Backend_Authorization="Bearer theirs",
            X_Backend_Host="evil",
        )
        [seen] = one.seen
    names = {name.lower() for name, _ in seen.headers}
    assert names.isdisjoint({"cookie", "x-private", "te", "x-backend-authorization"})
    assert "secret" not in str(seen.headers)
    assert TOKEN not in str(seen.headers)
    assert seen.header("Authorization") == "Bearer theirs"
    assert seen.header("Host") == f"127.0.0.1:{one.port}"
    assert seen.header("Via") == "1.1 tuneup"
    assert "Set-Cookie" not in answer
    assert answer["X-Backend-Set-Cookie"] == "a=b"
    assert not {"X-Hop", "Keep-Alive"} & set(answer.headers)


def test_a_backends_errors_pass_as_they_are(call):
    with server(status=404, headers={"Content-Type": "text/plain"}, parts=[b"not here"]) as one:
        make("api", one.url)
        answer = call("api/forward/x")
        assert (answer.status_code, body_of(answer)) == (404, b"not here")
        assert answer["Content-Type"] == "text/plain"
    endpoint = balancer.group("api").endpoints["api-0"]
    assert (endpoint.successes, endpoint.failures) == (1, 0)


@pytest.mark.parametrize(("status", "failures"), [(500, 1), (503, 1), (501, 0), (429, 0)])
def test_what_counts_as_a_failure(call, status, failures):
    with server(status=status) as one:
        make("api", one.url, max_attempts=1)
        answer = call("api/forward/x")
        assert answer.status_code == status
        answer.close()
    assert balancer.group("api").endpoints["api-0"].failures == failures


@pytest.mark.parametrize(
    ("method", "headers", "status", "sent"),
    [
        ("GET", {}, 200, 2),
        ("PUT", {}, 200, 2),
        ("POST", {}, 503, 1),
        ("POST", {"Idempotency_Key": "k"}, 200, 2),
    ],
)
def test_only_what_is_safe_is_sent_to_another_backend(call, method, headers, status, sent):
    with servers(2) as [bad, good]:
        bad.status = 503
        make("api", bad.url, good.url, strategy="round_robin")
        for _ in range(20):  # until the bad one was first
            bad.seen.clear()
            good.seen.clear()
            answer = call("api/forward/x", method, b"body", **headers)
            body_of(answer)
            if bad.seen:
                break
        assert answer.status_code == status
        assert len(bad.seen) + len(good.seen) == sent
        if sent == 2:
            assert good.seen[0].body == b"body"


def test_what_was_never_sent_is_sent_to_another_backend_whatever_it_is(call):
    with server() as good:
        make("api", f"http://127.0.0.1:{free_port()}", good.url)
        for _ in range(10):
            answer = call("api/forward/x", "POST", b"once")
            assert (answer.status_code, body_of(answer)) == (200, b"hello")
        assert [seen.body for seen in good.seen] == [b"once"] * 10


def test_nobody_listening_is_a_502_and_too_slow_a_504(call):
    make("dead", f"http://127.0.0.1:{free_port()}")
    answer = call("dead/forward/x")
    assert (answer.status_code, answer.json()["type"]) == (502, "not-answered")
    assert "Dead-0" in answer.json()["detail"]
    with server(delay_seconds=5.0) as slow:
        make("slow", slow.url, timeout_seconds=0.2)
        live.catch_up()
        assert call("slow/forward/x").status_code == 504
    assert balancer.group("slow").endpoints["slow-0"].failures == 1


def test_an_answer_comes_part_by_part_and_is_under_way_until_its_end(call):
    gate = threading.Event()
    with server(parts=[b"x" * 70_000, b"end"], gate=gate) as one:
        make("api", one.url)
        endpoint = balancer.group("api").endpoints["api-0"]
        answer = call("api/forward/x")
        parts = iter(answer.streaming_content)
        assert next(parts).startswith(b"x")
        assert (endpoint.in_flight, endpoint.successes) == (1, 0)
        gate.set()
        assert b"".join(parts).endswith(b"end")
        assert (endpoint.in_flight, endpoint.successes) == (0, 1)


def test_a_caller_that_goes_leaves_nothing_under_way(call):
    gate = threading.Event()
    with server(parts=[b"x" * 70_000, b"end"], gate=gate) as one:
        make("api", one.url)
        answer = call("api/forward/x")
        endpoint = balancer.group("api").endpoints["api-0"]
        assert endpoint.in_flight == 1
        answer.close()
        gate.set()
        assert (endpoint.in_flight, endpoint.failures) == (0, 0)


def test_an_answer_that_breaks_off_is_an_error_for_both(call):
    with server(breaks=True) as one:
        make("api", one.url)
        with pytest.raises(Exception, match="peer closed connection"):
            body_of(call("api/forward/x"))
    endpoint = balancer.group("api").endpoints["api-0"]
    assert (endpoint.in_flight, endpoint.failures) == (0, 1)


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../b", "%2e%2e/x", "a/%2e%2e%2f..", "./x", "a%5Cb", "a%0d%0ab"]
)
def test_no_path_leads_out_of_the_backends_own(call, path):
    with server() as one:
        make("api", f"{one.url}/base")
        answer = call(f"api/forward/{path}")
        assert answer.status_code in (404, 422)  # Django itself resolves plain dots
        assert one.seen == []


@pytest.mark.parametrize(
    "path", ["http://10.9.9.9/x", "//10.9.9.9/x", "@10.9.9.9/x", "%252e%252e/x"]
)
def test_no_path_leads_to_another_host(call, path):
    with server() as one:
        make("api", f"{one.url}/base")
        assert call(f"api/forward/{path}").status_code == 200
        assert one.seen[0].path.startswith("/base/")
        assert one.seen[0].header("Host") == f"127.0.0.1:{one.port}"


def test_a_name_that_leads_elsewhere_later_is_not_followed(call, monkeypatch):
    """DNS rebinding: allowed when it was saved, the cloud's metadata when it is called."""
    found = ["127.0.0.1"]
    monkeypatch.setattr("optimizer.balancer.models.backends.resolve", lambda _: found)
    monkeypatch.setattr(places, "resolve", lambda _: found)
    with server() as one:
        make("api", f"http://moves.test:{one.port}")
        answer = call("api/forward/x")
        assert answer.status_code == 200
        assert one.seen[0].header("Host") == f"moves.test:{one.port}"
        found[:] = ["169.254.169.254"]
        places.forget()
        answer = call("api/forward/x")
        assert answer.status_code == 502
        assert "169.254.169.254, which is not allowed" in answer.json()["detail"]


def test_a_narrowed_allow_list_holds_for_backends_that_are_there(call):
    with server() as one:
        make("api", one.url)
        settings = BalancerSettings.load()
        settings.allowed_addresses = "10.0.0.0/8"
        settings.save()
        live.catch_up()
        assert call("api/forward/x").status_code == 502
        assert one.seen == []


def test_the_body_is_bounded_and_forwarding_can_be_switched_off(call):
    with server() as one:
        make("api", one.url)
        assert call("api/forward/x", "POST", b"x" * 2 * 1024**2).status_code == 200
        settings = BalancerSettings.load()
        settings.max_body_bytes = 1024
        settings.save()
        live.catch_up()
        assert call("api/forward/x", "POST", b"x" * 1025).status_code == 413
        settings.forwards = False
        settings.save()
        live.catch_up()
        answer = call("api/forward/x")
        assert (answer.status_code, answer.json()["type"]) == (503, "switched-off")


def test_wrong_calls_are_told(call):
    make("cache", "redis://127.0.0.1:6379/0", kind="redis")
    assert call("nope/forward/x").json()["type"] == "unknown-group"
    assert call("cache/forward/x").json()["errors"][0]["field"] == "group"
    with server() as one:
        make("api", one.url)
        live.catch_up()
        assert call("api/forward/x", Via="1.0 a, 1.1 tuneup").status_code == 508
        assert call("api/forward/x", Via="1.1 tuneups-proxy").status_code == 200
        assert call("api/forward/x", X_Balancer_Key="k" * 600).status_code == 422
        Backend.objects.filter(name="api-0").update(draining=True)
        live.catch_up()
        assert call("api/forward/x").json()["type"] == "no-backend"


def test_a_sticky_key_leads_to_the_same_backend(call):
    with servers(3) as three:
        make("api", *(one.url for one in three), strategy="maglev")
        for n in range(5):
            answers = [call("api/forward/x", X_Balancer_Key=f"user:{n}") for _ in range(3)]
            assert len({one["X-Balancer-Backend"] for one in answers}) == 1
            [body_of(one) for one in answers]
        assert all(seen.header("X-Balancer-Key") is None for one in three for seen in one.seen)


@pytest.mark.django_db(transaction=True)
def test_many_callers_at_once_and_a_backend_that_fails(live_server):
    """Threads over real HTTP: nothing is lost, and nothing stays under way."""
    import httpx

    keys.issue(name="bot", token=TOKEN)
    with servers(4) as four:
        four[0].status = 503
        make("api", *(one.url for one in four))
        live.catch_up()
        found = []

        def work():
            with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
                for _ in range(25):
                    url = f"{live_server.url}/internal/v1/balancer/api/forward/x"
                    found.append(http.get(url, timeout=60).status_code)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 150
        deadline = time.monotonic() + 20
        ends = balancer.group("api").endpoints.values()
        while any(one.in_flight for one in ends) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [one.in_flight for one in ends] == [0] * 4
        assert len(four[0].seen) <= 20

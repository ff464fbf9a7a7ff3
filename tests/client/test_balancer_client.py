"""Picks in the client's own process: a snapshot, kept up to date, and what the server is told."""

import asyncio
import time

import httpx
import pytest

from optimizer.balancer.models import Backend
from optimizer.balancer.services import outside, reporter, sharing
from optimizer.client import ApiError, AsyncTuneup, Tuneup, Unavailable
from optimizer.client.balancer import Balancer
from optimizer.client.balancing import NoBackend
from optimizer.control import keys, live
from tests.balancer.case import make
from tests.balancer.server import server, servers
from tests.control.test_propagation import wait_until

TOKEN = f"tu_balclien_{'x' * 43}"
pytestmark = [
    pytest.mark.any_database,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis"),
]
THREE = tuple(f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003))


@pytest.fixture(autouse=True)
def _nothing_counted():
    def clear():
        reporter.series._unsent.clear()
        reporter.latencies._unsent.clear()

    clear()
    yield
    clear()


@pytest.fixture
def tuneup(live_server):
    keys.issue(name="bot", token=TOKEN)
    with Tuneup(live_server.url, TOKEN, timeout_seconds=20) as client:
        yield client


def counted(monkeypatch):
    """Return what the series have of each backend: picks and failures."""
    with monkeypatch.context() as later:
        later.setattr(reporter.series, "_clock", lambda: time.time() + 10)
        reporter.series.send()
        counts = reporter.series.read(60)[1]
    return {name: sum(values) for name, values in counts.items() if name.split("/")[2] in "pf"}


def test_a_pick_costs_no_trip_and_is_told_afterwards(tuneup, monkeypatch):
    make("api", *THREE, strategy="round_robin")
    sent = []

    def send(call):
        sent.append(call.path.rpartition("/")[2])
        return tuneup._send(call)

    balancer = Balancer(send, refresh_seconds=3600.0)
    for _ in range(30):
        with balancer.acquire("api") as backend:
            assert backend.address in THREE
            if backend.name == "api-2":
                backend.fail()
    assert sent == ["api"]
    balancer.close()
    assert sent == ["api", "calls", "api"]
    found = counted(monkeypatch)
    assert sum(count for name, count in found.items() if name[-1] == "p") == 30
    assert found["api/api-2/f"] == 5  # and then it was ejected


def test_a_key_leads_to_the_same_backend_as_in_the_server(tuneup):
    from optimizer.balancer import balancer

    make("api", *THREE, strategy="maglev")
    for n in range(50):
        key = f"user:{n}"
        with tuneup.balancer.acquire("api", key) as here, balancer.acquire("api", key) as there:
            assert here.name == there.name


def test_real_calls_avoid_what_fails_and_everybody_hears_of_it(tuneup):
    with servers(3) as three, httpx.Client() as http:
        three[0].status = 503
        make("api", *(one.url for one in three), strategy="round_robin")
        failed = 0
        for _ in range(60):
            try:
                with tuneup.balancer.acquire("api") as backend:
                    http.get(f"{backend.address}/x").raise_for_status()
            except httpx.HTTPStatusError:
                failed += 1
        assert failed == 5
        tuneup.balancer.refresh()
        wait_until(lambda: sharing.read().ejection("api/api-0") is not None, 20)
        assert sharing.events()[0].reason == "consecutive failures"


def test_changes_and_ejections_of_others_reach_the_client(tuneup):
    make("api", *THREE, strategy="round_robin")
    tuneup.balancer.acquire("api")
    group = tuneup.balancer._views["api"].group
    outside.count("api", [], [outside.Ejected("api-0", "latency", "slow")])
    Backend.objects.filter(name="api-1").update(draining=True)
    live.catch_up()
    wait_until(lambda: [one.name for one in group.available.endpoints] == ["api-2"], 20)
    sharing.put_back("api", "api-0")
    for _ in range(10):
        sharing.sync.tick()
    wait_until(lambda: len(group.available.endpoints) == 2, 20)


def test_while_the_server_is_away_picks_go_on_and_counts_are_kept(tuneup, monkeypatch):
    make("api", *THREE)
    with tuneup.balancer.acquire("api"):
        pass

    def away(call):
        raise Unavailable("away")

    balancer, real = tuneup.balancer, tuneup.balancer._send
    monkeypatch.setattr(balancer, "_send", away)
    for _ in range(10):
        with balancer.acquire("api"):
            pass
    with pytest.raises(Unavailable):
        balancer.refresh()
    wait_until(lambda: isinstance(balancer.last_error, Unavailable), 20)
    monkeypatch.setattr(balancer, "_send", real)
    wait_until(lambda: sum(v for k, v in counted(monkeypatch).items() if k[-1] == "p") == 11, 20)
    wait_until(lambda: balancer.last_error is None, 20)


def test_what_is_wrong_is_told(tuneup):
    make("empty")
    with pytest.raises(ApiError) as raised:
        tuneup.balancer.acquire("nope")
    assert raised.value.problem.type == "unknown-group"
    with pytest.raises(NoBackend, match="has no backends"), tuneup.balancer.acquire("empty"):
        pass


def test_closing_tells_the_last_calls(live_server, monkeypatch):
    keys.issue(name="bot", token=TOKEN)
    make("api", *THREE)
    with Tuneup(live_server.url, TOKEN, timeout_seconds=20) as client:
        for _ in range(7):
            with client.balancer.acquire("api"):
                pass
    assert sum(v for k, v in counted(monkeypatch).items() if k[-1] == "p") == 7


def test_it_is_the_same_from_asyncio(live_server, monkeypatch):
    keys.issue(name="bot", token=TOKEN)

    async def run(url):
        tuneup = AsyncTuneup(live_server.url, TOKEN, timeout_seconds=20)
        async with tuneup as client, httpx.AsyncClient() as http:
            for _ in range(20):
                with await client.balancer.acquire("api", key="user:1") as backend:
                    (await http.get(backend.address)).raise_for_status()
            began = asyncio.Event()

            async def cancelled():
                async with await client.balancer.acquire("api"):
                    began.set()
                    await asyncio.sleep(60)

            task = asyncio.create_task(cancelled())
            await began.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with server() as one:
        make("api", one.url)
        asyncio.run(run(one.url))
        assert len(one.seen) == 20
    found = counted(monkeypatch)
    assert found == {"api/api-0/p": 21}


def test_the_client_needs_no_django():
    import subprocess
    import sys

    code = "import sys; from optimizer.client import balancer; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

import asyncio
import socket
import threading
import time

import pytest
import redis as redis_py

from optimizer.control import redis as access
from optimizer.control.breaker import CircuitBreaker
from optimizer.control.redis import RedisAway
from optimizer.control.wire import AsyncWire, Wire


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return CircuitBreaker(failures=2, open_seconds=1.0, clock=clock, jitter=lambda: 0.5)


def test_the_breaker_opens_after_failures_in_a_row(breaker):
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.state == "closed"
    breaker.failed()
    assert breaker.state == "open"
    assert not breaker.allow()


def test_one_probe_goes_out_after_the_pause(breaker, clock):
    breaker.failed()
    breaker.failed()
    clock.now = 1.0
    assert breaker.state == "half-open"
    assert [breaker.allow() for _ in range(5)] == [True, False, False, False, False]


def test_of_many_threads_one_probes(clock, breaker):
    breaker.failed()
    breaker.failed()
    clock.now = 1.0
    allowed: list[bool] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        allowed.append(breaker.allow())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 1


def test_a_probe_that_succeeds_closes_and_one_that_fails_waits_again(breaker, clock):
    breaker.failed()
    breaker.failed()
    clock.now = 1.0
    breaker.allow()
    breaker.failed()
    assert breaker.state == "open"
    clock.now = 2.0
    breaker.allow()
    breaker.succeeded()
    assert breaker.state == "closed"


@pytest.fixture
def fresh(monkeypatch):
    """Give the link no client yet, and a breaker that is quick to try again."""
    access.forget()
    monkeypatch.setattr(access.breaker, "open_seconds", 0.2)
    yield
    access.forget()


@pytest.mark.usefixtures("fresh")
def test_a_call_reaches_redis(redis):
    access.call(lambda r: r.set("k", 1))
    assert redis.get("k") == b"1"


@pytest.mark.usefixtures("fresh")
def test_an_error_that_redis_replied_passes_through_and_is_no_outage(redis):
    for _ in range(5):
        with pytest.raises(redis_py.ResponseError):
            access.call(lambda r: r.execute_command("NOSUCHCOMMAND"))
    assert access.breaker.state == "closed"


@pytest.mark.usefixtures("fresh")
def test_a_redis_that_does_not_answer_costs_its_budget_and_then_nothing(settings):
    """A port that accepts and stays silent is the worst outage: only the time-out ends it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        for _ in range(2):
            with pytest.raises(RedisAway):
                access.call(lambda r: r.ping())
        assert access.breaker.state == "open"
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(RedisAway, match="breaker"):
                access.call(lambda r: r.ping())
        assert time.monotonic() - started < settings.REDIS_TIMEOUT_SECONDS


@pytest.mark.usefixtures("fresh")
def test_it_finds_redis_again_by_itself(settings, redis):
    good = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    for _ in range(2):
        with pytest.raises(RedisAway):
            access.call(lambda r: r.ping())
    settings.REDIS_URL = good
    access.forget()
    deadline = time.monotonic() + 60
    while access.breaker.state != "closed" and time.monotonic() < deadline:
        time.sleep(0.01)  # no caller has to try
    assert access.breaker.state == "closed"


def test_the_short_way_opens_a_new_connection_after_one_that_could_not(redis, settings):
    """A closed connection is not kept for the next call."""
    wire = Wire(settings.REDIS_URL, 1.0)
    assert wire.execute(("PING",)) == b"PONG"
    wire._mine.connection.sock.shutdown(socket.SHUT_RDWR)
    wire._mine.connection.used_at = 0.0
    wire._url = "redis://127.0.0.1:1/0"
    for _ in range(2):
        with pytest.raises(redis_py.ConnectionError):
            wire.execute(("PING",))
    wire._url = settings.REDIS_URL
    assert wire.execute(("PING",)) == b"PONG"


def test_a_silent_redis_is_given_up_within_the_budget(redis, settings):
    wire = Wire(settings.REDIS_URL, 0.1)
    wire.execute(("PING",))
    started = time.monotonic()
    with pytest.raises(redis_py.TimeoutError):
        wire.execute(("BLPOP", "nothing-here", 5))
    assert time.monotonic() - started < 1
    assert wire.execute(("PING",)) == b"PONG"  # and its late reply is nobody's


def test_error_replies_are_redis_errors(redis, settings):
    wire = Wire(settings.REDIS_URL, 1.0)
    with pytest.raises(redis_py.exceptions.NoScriptError):
        wire.execute(("EVALSHA", "0" * 40, 0))
    with pytest.raises(redis_py.ResponseError, match="unknown command"):
        wire.execute(("NONSENSE",))
    assert wire.execute(("ECHO", "x")) == b"x"


def test_asyncio_shares_one_connection_and_survives_its_loss(redis, settings):
    wire = AsyncWire(settings.REDIS_URL, 0.3)

    async def go():
        many = await asyncio.gather(*(wire.execute(("ECHO", str(n))) for n in range(200)))
        assert many == [str(n).encode() for n in range(200)]
        assert len(wire._connections) == 1
        lost = asyncio.ensure_future(wire.execute(("BLPOP", "nothing-here", 5)))
        cancelled = asyncio.ensure_future(wire.execute(("PING",)))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        with pytest.raises(redis_py.TimeoutError):
            await lost
        assert await wire.execute(("PING",)) == b"PONG"
        with pytest.raises(redis_py.ResponseError):
            await wire.execute(("NONSENSE",))

    asyncio.run(go())
    asyncio.run(go())  # another loop, another connection

"""What processes share: ejections in force everywhere, health, lag, events; and without Redis."""

import os
import signal
import time

import msgspec
import pytest
from redis.exceptions import ResponseError

from optimizer.balancer import balancer, metrics
from optimizer.balancer.models import Backend
from optimizer.balancer.selectors.shared import overview
from optimizer.balancer.services import reporter, sharing
from optimizer.control import live
from optimizer.control.redis import RedisAway
from optimizer.control.series import Series
from tests.balancer.case import make
from tests.children import children
from tests.control.test_propagation import START_SECONDS, wait_until

pytestmark = pytest.mark.any_database

FOUR = tuple(f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003, 9004))

# Calls go on for ever; what fails, and what is told, comes by lines.
CALLER = """
import sys, threading, time
from optimizer.balancer import balancer
from optimizer.control import watcher
watcher.start("web")
failing = set()
def listen():
    for line in sys.stdin:
        name = line.strip()
        failing.symmetric_difference_update({name})
threading.Thread(target=listen, daemon=True).start()
said = None
while True:
    group = balancer.group("api")
    for _ in range(40):
        endpoint = group.begin()
        group.done(endpoint, 0.001, failed=endpoint.name in failing)
    now = " ".join(
        name + ":" + one.breaker + ("-draining" if one.backend.draining else "")
        for name, one in sorted(group.endpoints.items())
        if one.breaker != "closed" or one.backend.draining
    ) or "calm"
    if now != said:
        print(now)
        said = now
    time.sleep(0.01)
"""


def say(child, name):
    child.process.stdin.write(f"{name}\n")
    child.process.stdin.flush()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_what_one_process_ejects_all_leave_alone_until_it_is_put_back():
    make("api", *FOUR, strategy="round_robin", ejection_seconds=600.0, max_ejection_seconds=600.0)
    with children(3, CALLER) as processes:
        for child in processes:
            child.read_until("calm", START_SECONDS)
        say(processes[0], "api-1")
        for child in processes:
            child.read_until("api-1:open", 20)
        wait_until(lambda: sharing.read().ejection("api/api-1") is not None, 20)
        events = [one for one in sharing.events() if one.kind == "ejected"]
        assert [(one.backend, one.reason) for one in events] == [
            ("api/api-1", "consecutive failures")
        ]
        say(processes[0], "api-1")  # it is well again
        sharing.put_back("api", "api-1")
        for child in processes:
            child.read_until("calm", 20)
        os.kill(processes[0].process.pid, signal.SIGKILL)
        wait_until(lambda: len(reporter.views()) == 2, 30)  # what it had under way is gone with it
        Backend.objects.filter(name="api-2").update(draining=True)
        for child in processes[1:]:
            child.read_until("api-2:closed-draining", 20)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("redis")
def test_no_more_are_ejected_over_all_processes_than_may_be():
    """Each process sees another backend fail; of four, two may be ejected."""
    make("api", *FOUR, strategy="round_robin", ejection_seconds=600.0, max_ejection_seconds=600.0)
    with children(3, CALLER) as processes:
        for child in processes:
            child.read_until("calm", START_SECONDS)
        for at, child in enumerate(processes):
            say(child, f"api-{at}")

        def ejected():
            shared = sharing.read()
            return [name for name in shared.ejections if shared.ejection(name)]

        wait_until(lambda: len(ejected()) == 2, 20)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert len(ejected()) == 2
            time.sleep(0.05)


def eject(name):
    group = balancer.group("api")
    endpoint = group.endpoints[name]
    for _ in range(5):
        endpoint.in_flight += 1
        group.done(endpoint, 0.001, failed=True)
    return endpoint


def tick(sync=None):
    sync = sync or sharing.Sync()
    for _ in range(10):
        sync.tick()


@pytest.mark.django_db
def test_a_process_that_starts_later_knows_what_is_ejected(redis):
    make("api", *FOUR)
    eject("api-0")
    tick()
    balancer.reset()
    group = balancer.group("api")
    assert group.endpoints["api-0"].breaker == "closed"
    tick()
    assert group.endpoints["api-0"].breaker == "open"
    assert group.endpoints["api-0"].times_ejected == 1


@pytest.mark.django_db
def test_the_next_ejection_is_longer_whichever_process_decides_it(redis):
    make("api", *FOUR, ejection_seconds=60.0, max_ejection_seconds=600.0)
    lengths = []
    for _ in range(3):
        eject("api-0")
        tick()
        shared = sharing.read()
        found = shared.ejections["api/api-0"]
        lengths.append((found.times, found.until - shared.now))
        found.until = shared.now - 1  # it is over
        redis.hset(sharing.EJECTIONS, "api/api-0", msgspec.json.encode(found))
        balancer.reset()  # as another process, which knows of no ejection
    assert [times for times, _ in lengths] == [1, 2, 3]
    for (_, length), least in zip(lengths, (60, 120, 240), strict=True):
        assert least - 30 < length <= least * 1.25


@pytest.mark.django_db
def test_lag_reaches_the_groups(redis):
    make("reads", "default", kind="database", max_lag_seconds=1.0, panic_percent=0)
    group = balancer.group("reads")
    sharing.report_lag("reads", "reads-0", 5.0)
    tick()
    assert group.endpoints["reads-0"].lag_seconds == 5.0
    assert not group.available.endpoints
    assert overview()[0].backends[0].state == "lagging"


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_away")
def test_without_redis_a_process_ejects_by_itself_and_tells_later():
    make("api", *FOUR)
    endpoint = eject("api-0")
    assert endpoint.breaker == "open"
    tick()
    assert endpoint.breaker == "open"
    assert len(balancer.group("api").news) == 1  # kept
    with balancer.acquire("api"):
        pass
    with pytest.raises(RedisAway):
        overview()


@pytest.mark.django_db
def test_what_was_counted_is_told_once(redis, monkeypatch):
    for name in ("series", "latencies"):  # none that keeps what an earlier outage left unsent
        monkeypatch.setattr(reporter, name, Series(f"balancer-test-{name}"))
    make("api", *FOUR, strategy="round_robin")
    group, tells = balancer.group("api"), reporter.Reporter()
    for _ in range(8):
        endpoint = group.begin()
        group.done(endpoint, 0.02, failed=endpoint.name == "api-3")
    group.drop(group.begin())
    with monkeypatch.context() as earlier:  # the slot of now is not shown before it is over
        for one in (reporter.series, reporter.latencies):
            earlier.setattr(one, "_clock", lambda: time.time() - 10)
        tells.report()
        tells.report()
        balancer.group("api").begin()
        tells.report()
    [found] = overview()
    assert sum(one.picks for one in found.backends) == 10
    by_name = {one.name: one for one in found.backends}
    assert sum(one.figures.ok for one in found.backends) == 6
    assert by_name["api-3"].figures.failed == 2
    assert by_name["api-3"].success_text == "0.00 %"
    assert sum(one.figures.unreported for one in found.backends) == 1
    assert 0.02 <= by_name["api-0"].p99_seconds <= 0.0225
    assert sum(one.traffic_share for one in found.backends) == pytest.approx(1)
    assert by_name["api-0"].weight_share == 0.25


@pytest.mark.django_db
def test_a_backend_that_is_taken_away_leaves_no_gauge_standing(redis):
    make("api", *FOUR)
    group, tells = balancer.group("api"), reporter.Reporter()
    while group.begin().name != "api-0":
        pass
    tells.report()
    under_way = metrics.IN_FLIGHT.labels("api", "api-0")
    assert under_way._value.get() == 1
    Backend.objects.filter(name="api-0").delete()
    live.catch_up()
    balancer.group("api")
    tells.report()
    assert under_way._value.get() == 0


@pytest.mark.django_db
def test_a_redis_that_is_full_costs_the_sharing_alone(redis, monkeypatch, caplog):
    make("api", *FOUR)
    endpoint = eject("api-0")

    def full(*_):
        raise ResponseError("OOM command not allowed when used memory > 'maxmemory'.")

    monkeypatch.setattr(sharing.EJECT, "run", full)
    tick()
    assert "cannot be shared: OOM" in caplog.text
    assert endpoint.breaker == "open"
    monkeypatch.undo()
    tick()
    assert endpoint.breaker == "open"  # until its own time is over

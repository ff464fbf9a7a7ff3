"""The balancer in process: acquire, call, retries, hedging, live settings."""

import asyncio
import os
import threading
import time

import pytest

from optimizer.balancer import balancer
from optimizer.balancer.engine.events import Unavailable
from optimizer.balancer.models import Backend, BalancerSettings
from optimizer.balancer.models import Group as GroupRow
from optimizer.balancer.services.balancing import UnknownGroup
from optimizer.control import live
from tests.balancer.case import make

pytestmark = pytest.mark.django_db
THREE = tuple(f"http://127.0.0.1:{port}" for port in (9001, 9002, 9003))


def test_a_backend_is_acquired_timed_and_counted():
    make("api", *THREE)
    with balancer.acquire("api") as backend:
        assert backend.address in THREE
        endpoint = balancer.group("api").endpoints[backend.name]
        assert endpoint.in_flight == 1
        time.sleep(0.01)
    assert endpoint.in_flight == 0
    assert endpoint.successes == 1
    assert endpoint.ewma >= 0.01


def test_it_is_the_same_in_asyncio():
    make("api", *THREE)
    balancer.group("api")  # a loop's own first load runs in a thread, which sees commits alone

    async def call():
        async with balancer.acquire("api", key="user:1") as backend:
            await asyncio.sleep(0)
            return backend.name

    assert asyncio.run(call()).startswith("api-")


def test_an_unknown_group_is_named_with_those_that_are():
    make("api", *THREE)
    with pytest.raises(UnknownGroup, match="no group 'apo'; known: api"):
        balancer.acquire("apo")


def test_a_key_that_is_no_unicode_is_hashed_all_the_same():
    make("api", *THREE, strategy="maglev")
    names = set()
    for key in ("\ud800", "\ud800", b"\xed\xa0\x80"):
        with balancer.acquire("api", key=key) as backend:
            names.add(backend.name)
    assert len(names) == 1


def test_changes_are_obeyed_and_a_removed_group_is_unknown():
    row = make("api", *THREE, strategy="round_robin")
    held = balancer.acquire("api")
    with held:
        Backend.objects.filter(name__in=["api-0", "api-1"]).update(draining=True)
        live.catch_up()
        for _ in range(5):
            with balancer.acquire("api") as backend:
                assert backend.name == "api-2"
        row.delete()
        live.catch_up()
        with pytest.raises(UnknownGroup):
            balancer.acquire("api")


def test_a_safe_call_that_fails_is_sent_to_another_backend():
    make("api", *THREE, max_attempts=3)
    tried = []

    def work(backend):
        tried.append(backend.name)
        if len(tried) < 3:
            raise OSError("refused")
        return "done"

    assert balancer.call("api", work, safe=True) == "done"
    assert len(set(tried)) == 3
    group = balancer.group("api")
    assert sum(one.failures for one in group.endpoints.values()) == 2


def test_any_other_call_is_made_once_and_its_error_is_the_callers():
    make("api", *THREE, max_attempts=3)
    tried = []

    def work(backend):
        tried.append(backend.name)
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        balancer.call("api", work)
    assert len(tried) == 1
    with pytest.raises(OSError, match="refused"):
        balancer.call("api", work, safe=True)
    assert len(tried) == 4


def test_the_budget_ends_retries():
    make("api", *THREE, max_attempts=2, retry_percent=0, retries_per_second=0)
    tried = []

    def work(backend):
        tried.append(backend.name)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (any will do)
        balancer.call("api", work, safe=True)
    assert len(tried) == 1


def test_a_late_call_is_hedged_and_the_first_answer_counts():
    make("api", *THREE, hedge_percentile=50, strategy="round_robin")
    for _ in range(150):
        with balancer.acquire("api"):
            pass
    release, names = threading.Event(), []

    def work(backend):
        names.append(backend.name)
        if len(names) == 1:
            release.wait(30)
            return "late"
        return "in time"

    assert balancer.call("api", work, safe=True) == "in time"
    release.set()
    assert len(set(names)) == 2
    ends = balancer.group("api").endpoints.values()
    deadline = time.monotonic() + 20
    while any(one.in_flight for one in ends) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sum(one.successes for one in ends) == 152


def test_a_hedged_call_that_fails_raises_its_error():
    make("api", *THREE, hedge_percentile=50)

    def work(backend):
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        balancer.call("api", work, safe=True)


def test_no_backend_left_is_told():
    make("api", *THREE)
    Backend.objects.update(enabled=False)
    with pytest.raises(Unavailable, match="disabled or draining"), balancer.acquire("api"):
        pass


def test_a_pick_asks_no_database(django_assert_num_queries):
    make("api", *THREE)
    with balancer.acquire("api"):
        pass
    with django_assert_num_queries(0):
        for _ in range(20):
            with balancer.acquire("api", key="k"):
                pass


def test_the_kill_switch_is_obeyed():
    make("api", *THREE, strategy="round_robin")
    group = balancer.group("api")
    for _ in range(30):
        endpoint = group.begin()
        group.done(endpoint, 0.001, failed=endpoint.name == "api-0")
    assert group.endpoints["api-0"].breaker == "open"
    settings = BalancerSettings.load()
    settings.ejects = False
    settings.save()
    live.catch_up()
    with balancer.acquire("api"):
        pass
    assert group.endpoints["api-0"].breaker == "closed"


def test_a_child_begins_with_nothing_under_way():
    make("api", *THREE)
    with balancer.acquire("api"):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, str(len(balancer.groups())).encode())
            os._exit(0)
        os.waitpid(pid, 0)
    assert os.read(read, 10) == b"0"
    os.close(read)
    os.close(write)
    assert GroupRow.objects.count() == 1

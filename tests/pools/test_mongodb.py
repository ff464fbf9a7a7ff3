"""MongoDB's pool: counted, resized by changing clients, drained."""

import threading
import time

import pytest

from optimizer.pools.engine import mongodb
from optimizer.pools.engine.base import pools
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.mongodb import ManagedMongo

pytestmark = pytest.mark.any_database


@pytest.fixture
def pool(monkeypatch, mongo_url):
    first = Limits(min_size=0, max_size=3, acquire_timeout_seconds=10)
    monkeypatch.setattr(pools, "limits_of", lambda alias, kind: first)
    made = ManagedMongo("mongo")
    yield made
    made.close()


def ping(pool, mongo_url):
    return pool.client(host=mongo_url).admin.command("ping")["ok"]


def test_check_outs_and_connections_are_counted(pool, mongo_url):
    threads = [
        threading.Thread(target=lambda: [ping(pool, mongo_url) for _ in range(5)]) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    totals, gauges = pool.statistics.totals(), pool.gauges()
    assert totals.acquired >= 30 and 1 <= totals.created <= 3
    assert gauges.size == totals.created and gauges.in_use == gauges.waiting == 0
    assert totals.connect_seconds > 0 and totals.reuse_ratio > 0.8
    assert pool.client(host=mongo_url).options.pool_options.max_pool_size == 3


def test_new_limits_are_a_new_client_and_the_old_one_drains(pool, mongo_url, monkeypatch):
    assert ping(pool, mongo_url) == 1
    old = pool.client(host=mongo_url)
    pool.apply(Limits(min_size=0, max_size=7))
    assert not pool.is_current(old)
    assert old.admin.command("ping")["ok"] == 1  # who holds it goes on
    assert ping(pool, mongo_url) == 1
    new = pool.client(host=mongo_url)
    assert new is not old and new.options.pool_options.max_pool_size == 7
    pool.sweep()
    assert pool.gauges().size == 2
    monkeypatch.setattr(mongodb, "_DRAIN_SECONDS", 0.0)
    time.sleep(0.01)
    pool.sweep()
    assert pool.gauges().size == 1
    assert ping(pool, mongo_url) == 1


def test_a_suspended_pool_lets_callers_wait(pool, mongo_url):
    pool.apply(Limits(min_size=0, max_size=3, suspended_until=time.time() + 0.1))
    started = time.monotonic()
    assert ping(pool, mongo_url) == 1
    assert time.monotonic() - started > 0.05

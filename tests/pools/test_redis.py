"""The managed Redis pool against a real server."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.conf import settings
from django.core.cache import caches
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from optimizer.control import redis as access
from optimizer.pools.engine.base import pools
from optimizer.pools.engine.leaks import Leak
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.redis import ManagedPool
from tests.connections import cut
from tests.pools.waiting import wait_until

pytestmark = [pytest.mark.any_database, pytest.mark.usefixtures("redis")]


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(pools, "limits_of", lambda alias, kind: Limits(max_size=4))
    made = ManagedPool.from_url(settings.REDIS_URL, pool_alias="tried")
    yield made
    made.disconnect()


def open_of(pool):
    return sum(
        one.is_connected for one in (*pool._available_connections, *pool._in_use_connections)
    )


def is_within(pool, size):
    return open_of(pool) <= size


def test_a_dry_pool_lets_callers_wait_instead_of_raising(pool):
    client = Redis(connection_pool=pool)

    def call(_):
        return client.blpop("test:nothing", timeout=0.02)

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(call, range(48))) == [None] * 48
    totals = pool.statistics.totals()
    assert totals.acquired == 48 and totals.created == 4 and totals.timeouts == 0
    assert totals.queued > 0 and pool.gauges().in_use == 0 and pool.gauges().size == 4


def test_who_waits_in_vain_is_told(pool):
    pool.apply(Limits(max_size=1, acquire_timeout_seconds=0.05))
    held = pool.get_connection()
    with pytest.raises(RedisConnectionError, match="'tried'.*1 of 1 are in use"):
        Redis(connection_pool=pool).ping()
    pool.release(held)
    assert Redis(connection_pool=pool).ping()
    assert pool.statistics.timeouts == 1


def test_it_shrinks_at_once_and_grows_without_a_failed_call(pool):
    client, stop, failed = Redis(connection_pool=pool), threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                client.ping()
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for size in (4, 1, 4, 2, 4):
            pool.apply(Limits(max_size=size))
            wait_until(partial(is_within, pool, size))
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    pool.apply(Limits(max_size=1))
    assert failed == [] and open_of(pool) == pool.gauges().size == 1


def test_connections_that_the_server_ended_are_opened_anew(pool, redis):
    client = Redis(connection_pool=pool)
    client.ping()
    assert cut(redis, "normal") >= 1
    assert client.ping()
    totals = pool.statistics.totals()
    assert totals.lost == 1 and totals.created == 2 and pool.gauges().size == 1


def test_all_are_replaced_and_old_and_idle_ones_closed(pool):
    client = Redis(connection_pool=pool)
    first = client.client_id()
    pool.apply(Limits(max_size=4, generation=1))
    second = client.client_id()
    assert second != first and pool.statistics.lost == 0
    pool.apply(Limits(min_size=0, max_size=4, generation=1, idle_timeout_seconds=0.01))
    time.sleep(0.05)
    pool.sweep()
    assert pool.gauges().size == 0


def test_a_suspended_pool_lets_callers_wait(pool):
    pool.apply(Limits(max_size=4, acquire_timeout_seconds=30, suspended_until=time.time() + 0.1))
    started = time.monotonic()
    assert Redis(connection_pool=pool).ping()
    assert time.monotonic() - started > 0.05


def test_a_connection_held_for_too_long_is_told(pool, monkeypatch):
    leaks: list[Leak] = []
    monkeypatch.setattr(pools, "report", leaks.append)
    pool.apply(Limits(max_size=4, leak_threshold_seconds=0.01))
    held = pool.get_connection()
    time.sleep(0.05)
    pool.sweep()
    pool.release(held)
    assert [one.came_back for one in leaks] == [False, True]
    assert pool.statistics.leaked == 1


def test_a_child_has_connections_of_its_own(pool):
    client = Redis(connection_pool=pool)
    mine = client.client_id()
    read, write = os.pipe()
    if not os.fork():
        os.write(write, str(client.client_id()).encode())
        os._exit(0)
    os.wait()
    assert int(os.read(read, 100)) != mine
    assert client.client_id() == mine
    os.close(read)
    os.close(write)


def test_a_child_does_not_wait_for_a_lock_that_another_thread_held(pool):
    client = Redis(connection_pool=pool)
    client.ping()
    with pool._places._lock, pool._lock:
        child = os.fork()
        if not child:
            client.ping()
            gauges = pool.gauges()
            os._exit(0 if (gauges.size, gauges.in_use, pool.statistics.created) == (1, 0, 1) else 1)
    ended: list[int] = []

    def has_ended():
        ended[:] = os.waitpid(child, os.WNOHANG)
        return ended[0] == child

    wait_until(has_ended)
    assert ended[1] == 0
    assert client.ping()


def test_an_address_that_nobody_listens_at_gives_its_place_back(monkeypatch):
    monkeypatch.setattr(pools, "limits_of", lambda alias, kind: Limits(max_size=1))
    away = ManagedPool.from_url("redis://127.0.0.1:1/0", pool_alias="away")
    for _ in range(3):
        with pytest.raises(RedisConnectionError, match="refused|111"):
            Redis(connection_pool=away).ping()
    assert away.statistics.errors >= 3 and away.gauges().in_use == 0


def test_django_redis_and_the_kernel_use_managed_pools():
    caches["redis"].get("nothing")
    access.call(lambda r: r.ping())
    assert {one.alias for one in pools.all()} >= {"cache", "redis"}


def test_a_connection_with_something_unread_is_left_to_redis_py_to_judge(pool):
    connection = pool.get_connection()
    assert connection.is_quiet()
    connection.send_command("PING")
    wait_until(connection.can_read)
    assert not connection.is_quiet()
    assert connection.read_response() == b"PONG" and connection.is_quiet()
    connection.send_packed_command(connection.pack_commands([["PING"], ["PING"]]))
    assert connection.read_response() == b"PONG"
    wait_until(lambda: not connection.is_quiet())  # the other one, in the socket or the parser
    pool.release(connection)
    assert pool._take_ready() is None
    connection.disconnect()
    assert not connection.is_quiet() and pool._take_ready() is None
    assert Redis(connection_pool=pool).echo("mine") == b"mine" and pool._take_ready() is connection

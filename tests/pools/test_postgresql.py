"""The managed PostgreSQL pool against a real server."""

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from optimizer.operations.embedded_redis import free_port
from optimizer.pools.engine.base import pools
from optimizer.pools.engine.leaks import Leak
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.postgresql import ManagedConnectionPool
from tests.pools import servers
from tests.pools.servers import needs_postgresql, pool_of, server
from tests.pools.waiting import wait_until

pytestmark = [needs_postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def reported(monkeypatch):
    leaks: list[Leak] = []
    monkeypatch.setattr(pools, "report", leaks.append)
    return leaks


def select(pool, seconds=0.0):
    with pool.connection() as conn:
        return conn.execute("SELECT 1, pg_sleep(%s)", [seconds]).fetchone()[0]


def test_one_connection_serves_one_caller_after_the_other():
    with pool_of("reuse", min_size=1, max_size=4) as pool, server("reuse") as seen:
        for _ in range(50):
            assert select(pool) == 1
        totals = pool.statistics.totals()
        assert (totals.acquired, totals.created, seen.count()) == (50, 1, 1)
        assert totals.reuse_ratio == pytest.approx(0.98)
        assert totals.saved_seconds > 0
        assert sum(totals.uses.values()) == 50 and sum(totals.connects.values()) == 1
        assert pool.get_stats()["requests_num"] == 50


def test_a_pool_shrinks_at_once_and_grows_at_once_without_a_failed_call():
    with pool_of("size", min_size=10, max_size=10) as pool, server("size") as seen:
        wait_until(lambda: seen.count() == 10)
        stop, failed = threading.Event(), []

        def work():
            while not stop.is_set():
                try:
                    assert select(pool, 0.002) == 1
                except Exception as error:
                    failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                pool.apply(Limits(min_size=2, max_size=2))
                # One that is being opened the server sees before the pool does.
                wait_until(lambda: (seen.count(), pool.gauges().size) == (2, 2))
                pool.apply(Limits(min_size=10, max_size=10))
                wait_until(lambda: seen.count() == 10)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert failed == []


def test_it_grows_on_demand_to_its_limit_and_then_callers_wait_in_turn():
    with pool_of("turn", min_size=0, max_size=2) as pool:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda _: select(pool, 0.01), range(40))) == [1] * 40
        totals = pool.statistics.totals()
        assert totals.created <= 2 and totals.queued > 0 and totals.timeouts == 0
        assert sum(totals.waits.values()) == totals.queued
        assert totals.wait_percentile(0.99) > 0


def test_who_waits_in_vain_is_told_how_the_pool_stands():
    with pool_of("dry", max_size=1, acquire_timeout_seconds=0.1) as pool:
        with pool.connection(), pytest.raises(PoolTimeout, match="'dry'.*1 of 1 are open"):
            pool.getconn()
        assert pool.statistics.timeouts == 1
        assert select(pool) == 1


def test_connections_that_the_server_ended_are_found_when_they_are_borrowed():
    with pool_of("killed", min_size=4, max_size=4) as pool, server("killed") as seen:
        wait_until(lambda: seen.count() == 4)
        assert seen.kill() == 4
        wait_until(lambda: seen.count() == 0)
        for _ in range(8):
            assert select(pool) == 1
        assert pool.statistics.lost == 4
        wait_until(lambda: pool.gauges().size == 4)


def test_after_a_connection_broke_in_use_the_others_are_checked():
    # Idle connections are not looked at by time here, so it is the broken one that tells.
    limits = {"min_size": 3, "max_size": 3, "check_after_idle_seconds": 3600}
    with pool_of("broken", **limits) as pool, server("broken") as seen:
        wait_until(lambda: seen.count() == 3)
        conn = pool.getconn()
        assert seen.kill() == 3
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        pool.putconn(conn)
        for _ in range(6):
            assert select(pool) == 1
        assert pool.statistics.lost == 3


def test_a_server_that_cannot_be_reached_is_told_at_once_and_found_again():
    port = free_port()
    with pool_of("away", acquire_timeout_seconds=30.0) as pool:
        options = {**servers.options(), "application_name": "away"}
        pool.kwargs = {**options, "host": "127.0.0.1", "port": port}
        pool.recycle()
        wait_until(lambda: pool.gauges().size == 0)
        started = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            pool.getconn()
        assert time.monotonic() - started < 15
        assert pool.statistics.errors > 0
        pool.kwargs = options
        assert select(pool) == 1


def test_all_connections_are_replaced_without_a_failed_call():
    with pool_of("recycle", min_size=3, max_size=3) as pool, server("recycle") as seen:
        pool.wait()  # the server sees a connection before the pool has it
        held = pool.getconn()
        pool.apply(Limits(min_size=3, max_size=3, generation=1))
        assert held.execute("SELECT 1").fetchone() == (1,)
        pool.putconn(held)
        wait_until(lambda: pool.statistics.created == 6 and seen.count() == 3)
        assert pool.statistics.closed == 3 and pool.statistics.lost == 0


def test_a_suspended_pool_lets_callers_wait_and_goes_on_by_itself():
    with pool_of("pause", acquire_timeout_seconds=30) as pool:
        pool.apply(Limits(acquire_timeout_seconds=30, suspended_until=time.time() + 0.2))
        started = time.monotonic()
        assert select(pool) == 1
        assert time.monotonic() - started > 0.1
        pool.apply(Limits(acquire_timeout_seconds=0.1, suspended_until=time.time() + 600))
        with pytest.raises(PoolTimeout, match="suspended"):
            pool.getconn()
        pool.apply(Limits())
        assert select(pool) == 1


def test_idle_and_old_connections_are_closed_by_the_sweep():
    limits = {"min_size": 1, "max_size": 5, "idle_timeout_seconds": 0.1}
    with pool_of("idle", **limits) as pool, server("idle") as seen:
        with ThreadPoolExecutor(5) as threads:
            list(threads.map(lambda _: select(pool, 0.05), range(5)))
        assert pool.gauges().size > 1
        time.sleep(0.15)
        pool.sweep()
        wait_until(lambda: seen.count() == 1)
        pool.apply(Limits(min_size=1, max_size=5, max_lifetime_seconds=0.05))
        pool.recycle()
        wait_until(lambda: pool.gauges().idle == 1)
        before = pool.statistics.created
        time.sleep(0.1)
        pool.sweep()
        wait_until(lambda: pool.statistics.created == before + 1 and seen.count() == 1)


def test_a_connection_held_for_too_long_is_told_with_its_stack(reported, monkeypatch):
    monkeypatch.setattr(pools.sampler, "every", 1)
    with pool_of("leak", leak_threshold_seconds=0.02) as pool:
        conn = pool.getconn()
        time.sleep(0.05)
        pool.sweep()
        pool.sweep()
        (leak,) = reported
        assert leak.taken_here and not leak.came_back
        assert "test_a_connection_held_for_too_long" in leak.stack[0]
        pool.putconn(conn)
        assert reported[1].came_back and reported[1].held_seconds > 0.02
        assert pool.statistics.leaked == 1
        assert pool.gauges().in_use == 0


def test_without_a_stack_the_holders_present_place_is_told(reported, monkeypatch):
    monkeypatch.setattr(pools.sampler, "every", 0)
    with pool_of("place", leak_threshold_seconds=0.02) as pool:
        conn = pool.getconn()
        time.sleep(0.05)
        pool.sweep()
        assert not reported[0].taken_here
        assert any("test_without_a_stack" in line for line in reported[0].stack)
        pool.putconn(conn)


@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
def test_a_connection_that_its_holder_drops_is_made_up_for(reported):
    with pool_of("dropped", max_size=2, acquire_timeout_seconds=30) as pool:

        def drop():
            pool.getconn()
            pool.getconn()

        for _ in range(3):
            thread = threading.Thread(target=drop)
            thread.start()
            thread.join()
            gc.collect()
        assert select(pool) == 1
        assert pool.statistics.leaked == len(reported) == 6


def test_a_pool_whose_connections_were_never_returned_is_closed_all_the_same():
    with pool_of("closing") as pool:
        conn = pool.getconn()
    pool.putconn(conn)
    assert conn.closed
    assert isinstance(pool, ManagedConnectionPool) and pool.gauges().size == 0

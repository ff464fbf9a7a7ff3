"""One process of the benchmark of pools: PostgreSQL alone; prints what it found as JSON."""

import json
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from benchmarks.table import in_turn
from optimizer.operations import private_postgres
from optimizer.pools.engine.base import pools
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.postgresql import ManagedConnectionPool

QUERIES, THREADS, ROUNDS = 2000, 8, 7
KILLS = 5
Pool = ConnectionPool[Any]


def main() -> None:
    """Measure and print."""
    binaries = private_postgres.find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: apt-get install postgresql")
    with private_postgres.private_postgres(binaries) as url:
        found = {
            **_check_outs(url),
            **_queries(url),
            **_crowd(url),
            **_sizes(url),
            **_kills(url),
        }
    print(json.dumps(found))


def _bare(url: str, size: int, **options: Any) -> Pool:
    pool: Pool = ConnectionPool(
        url, kwargs={"autocommit": True}, min_size=size, max_size=size, open=True, **options
    )
    pool.wait()
    return pool


def _managed(url: str, size: int, name: str = "managed") -> ManagedConnectionPool:
    pools.limits_of = lambda alias, kind: Limits(
        min_size=size, max_size=size, acquire_timeout_seconds=30
    )
    pool = ManagedConnectionPool(name, conninfo=url, kwargs={"autocommit": True})
    pool.open()
    pool.wait()
    return pool


def _check_outs(url: str) -> dict[str, float]:
    """Return the microseconds of a check-out and its return, best of many rounds."""
    with _bare(url, 4) as bare, _managed(url, 4) as managed:

        def turn(pool: Pool) -> float:
            started = time.perf_counter()
            for _ in range(4000):
                pool.putconn(pool.getconn())
            return (time.perf_counter() - started) / 4000 * 1e6

        rounds = [(turn(bare), turn(managed)) for _ in range(15)]
    return {
        "check_out_bare": min(one for one, _ in rounds),
        "check_out": min(one for _, one in rounds),
    }


def _queries(url: str) -> dict[str, float]:
    """Return the queries a second of several ways, 8 threads; medians of rounds in turn."""
    with _bare(url, THREADS) as bare, _managed(url, THREADS) as managed:

        def over(pool: Pool) -> Callable[[], None]:
            def ask() -> None:
                with pool.connection() as conn:
                    conn.execute("SELECT 1")

            return ask

        def anew() -> None:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("SELECT 1")

        ways = {"queries_bare": over(bare), "queries_managed": over(managed)}
        rates = in_turn(ways, lambda ask: _rate(ask, QUERIES), rounds=24)
        return rates | {"queries_new": _rate(anew, QUERIES)}


def _rate(ask: Callable[[], object], count: int) -> float:
    def work() -> None:
        for _ in range(count // THREADS):
            ask()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - started)


def _crowd(url: str) -> dict[str, float]:
    """Return the 99th percentile in ms of 64 threads on 8 connections with 5 ms of work."""

    def p99(pool: Pool) -> float:
        took: list[float] = []

        def work() -> None:
            for _ in range(10):
                started = time.perf_counter()
                with pool.connection() as conn:
                    conn.execute("SELECT pg_sleep(0.005)")
                took.append(time.perf_counter() - started)

        threads = [threading.Thread(target=work) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(took)[int(len(took) * 0.99)] * 1000

    with _bare(url, 8) as bare, _managed(url, 8) as managed:
        rounds = [(p99(bare), p99(managed)) for _ in range(ROUNDS)]
    return {
        "crowd_bare": statistics.median(one for one, _ in rounds),
        "crowd": statistics.median(one for _, one in rounds),
    }


def _sizes(url: str) -> dict[str, float]:
    """Return how long the server takes to see 10 -> 2 and 2 -> 10, and calls that failed."""
    failed, stop = 0, threading.Event()
    with _managed(url, 10, "sized") as pool, psycopg.connect(url, autocommit=True) as beside:
        pool.kwargs = {"autocommit": True, "application_name": "sized"}
        pool.recycle()

        def work() -> None:
            nonlocal failed
            while not stop.is_set():
                try:
                    with pool.connection() as conn:
                        conn.execute("SELECT pg_sleep(0.001)")
                except Exception:
                    failed += 1

        def until(count: int) -> float:
            started = time.perf_counter()
            while _count(beside, "sized") != count:
                if time.perf_counter() - started > 20:
                    raise SystemExit(f"the server never saw {count} connections")
                time.sleep(0.001)  # what looks must not take the cores from what works
            return time.perf_counter() - started

        until(10)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        shrinks, grows = [], []
        for _ in range(ROUNDS):
            time.sleep(0.1)
            pool.apply(Limits(min_size=2, max_size=2, acquire_timeout_seconds=30))
            shrinks.append(until(2))
            pool.apply(Limits(min_size=10, max_size=10, acquire_timeout_seconds=30))
            grows.append(until(10))
        stop.set()
        for thread in threads:
            thread.join()
    return {
        "shrink_ms": statistics.median(shrinks) * 1000,
        "grow_ms": statistics.median(grows) * 1000,
        "size_failed": failed,
    }


def _count(conn: "psycopg.Connection[Any]", name: str) -> int:
    found = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]
    ).fetchone()
    return int(found[0]) if found else 0


def _kills(url: str) -> dict[str, float]:
    """Return, for all connections killed under load, calls that failed once and for good, and
    the longest gap in ms in which no call of any thread ended well.
    """
    once = for_good = 0
    ended: list[float] = []
    stop = threading.Event()
    with _managed(url, 8, "killed") as pool, psycopg.connect(url, autocommit=True) as beside:
        pool.kwargs = {"autocommit": True, "application_name": "killed"}
        pool.recycle()

        def work(_: int) -> None:
            nonlocal once, for_good
            while not stop.is_set():
                for tried in range(3):
                    try:
                        with pool.connection() as conn:
                            conn.execute("SELECT 1")
                    except psycopg.OperationalError:
                        once += tried == 0
                        for_good += tried == 2
                    else:
                        ended.append(time.perf_counter())
                        break
                time.sleep(0.001)

        gaps = []
        with ThreadPoolExecutor(8) as threads:
            working = [threads.submit(work, n) for n in range(8)]
            time.sleep(0.3)
            for _ in range(KILLS):
                at = time.perf_counter()
                beside.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'killed'"
                )
                time.sleep(0.5)
                near = [at, *(one for one in ended if one > at)]
                gaps.append(max(b - a for a, b in zip(near, near[1:], strict=False)))
            stop.set()
            for one in working:
                one.result()
    return {
        "kill_failed_once": once / KILLS,
        "kill_failed": for_good / KILLS,
        "kill_gap_ms": statistics.median(gaps) * 1000,
    }


if __name__ == "__main__":
    main()

"""Several processes: how soon an invalidation reaches them all, how often one miss is loaded.

And how many values are stale after random schedules over real processes.
"""

import os
import signal
import time
from statistics import quantiles
from typing import Any

from django.core.cache import caches
from redis import Redis

from benchmarks.place import Place
from benchmarks.table import Row, verdict
from tests.caching import schedules, support

HEARERS, SAMPLES, PAUSE_SECONDS = 6, 1000, 0.005
LOADERS, THREADS, STAMPEDES, LOAD_SECONDS = 4, 50, 10, 0.05
RACES_BEGIN, RACES_SECONDS = 200, 60.0

# Notes when a name can no longer be served.
HEAR = """
gone, obey = {}, tiers.names_changed
def names_changed(names, seq):
    obey(names, seq)
    now = time.monotonic()
    for name in names:
        gone[name] = now
tiers.names_changed = names_changed
"""
HELD = f"sum(l1(f'told:{{number}}') is not None for number in range({SAMPLES}))"

# All threads ask for the same key at the same moment.
RUSH = f"""
def rush(key, begin):
    def ask():
        time.sleep(max(0.0, begin - time.monotonic()))
        got.append(cache.get_or_load(key, load(key, {LOAD_SECONDS})))
    counted.clear()
    got = []
    threads = [threading.Thread(target=ask) for _ in range({THREADS})]
    for one in threads: one.start()
    for one in threads: one.join()
    return [len(counted), got.count(key)]
"""


def propagation() -> list[Row]:
    """Delete keys that six processes hold, one after the other."""
    cache: Any = caches["default"]
    keys = [f"told:{number}" for number in range(SAMPLES)]
    names = [cache.name_of(key) for key in keys]
    cache.set_many(dict.fromkeys(keys, "value"), 3600)
    told = {}
    with support.agents(HEARERS) as hearers:
        for one in hearers:
            one.ask(HEAR)
            one.ask(f"len(cache.get_many({keys}))")
        held = [one.ask(HELD) for one in hearers]
        assert held == [SAMPLES] * HEARERS, held
        for key, name in zip(keys, names, strict=True):
            told[name] = time.monotonic()
            cache.delete(key)
            time.sleep(PAUSE_SECONDS)
        time.sleep(0.5)
        heard = [one.ask("gone") for one in hearers]
        held = [one.ask(HELD) for one in hearers]
    assert held == [0] * HEARERS, held
    each = [(one[name] - told[name]) * 1000 for one in heard for name in names]
    last = [max(one[name] - told[name] for one in heard) * 1000 for name in names]
    title = f"delete until {HEARERS} processes serve it no longer"
    return [
        *_percentiles(f"{title}, each of {len(each)}", each),
        *_percentiles(f"{title}, the last one, {len(last)}", last, 5),
    ]


def races(place: Place) -> list[Row]:
    """Run as many random schedules as the time allows."""
    first = schedules.run(RACES_BEGIN)
    with Redis.from_url(place.url) as client:  # where all processes met is not to be met again
        for met in client.scan_iter("barrier:*", count=10_000):
            client.delete(met)
    left = (RACES_SECONDS - first.took_seconds) * first.schedules / first.took_seconds
    then = schedules.run(max(RACES_BEGIN, int(left)))
    stale, count = first.stale + then.stale, first.schedules + then.schedules
    title = f"stale values after {count:,} random schedules in {schedules.PROCESSES} processes"
    refused = f"{first.refused + then.refused:,} stores refused"
    target = f"{refused}; {verdict(len(stale), '<=', 0, '')}"
    return [Row(title, len(stale), "", target=target)]


def _percentiles(title: str, took_ms: list[float], most: float = 0.0) -> list[Row]:
    parts = quantiles(took_ms, n=100)
    target = verdict(parts[98], "<=", most, "ms") if most else ""
    return [
        Row(f"{title}, p50", parts[49], "ms"),
        Row(f"{title}, p99", parts[98], "ms", target=target),
        Row(f"{title}, longest", max(took_ms), "ms"),
    ]


def stampedes(place: Place) -> list[Row]:
    """Let 50 threads in each of 4 processes miss one key at once; then with Redis hanging."""
    title = f"{LOADERS * THREADS} concurrent misses in {LOADERS} processes"
    with support.agents(LOADERS) as loaders:
        for one in loaders:
            one.ask(RUSH)
        loads = [sum(_rush(loaders, f"rush:{number}")) for number in range(STAMPEDES)]
        most = max(loads)
        rows = [
            Row(f"{title}: loads, most of {STAMPEDES}", most, "", target=verdict(most, "<=", 1, ""))
        ]
        os.kill(place.pid, signal.SIGSTOP)
        try:
            most = max(max(_rush(loaders, f"away:{number}")) for number in range(3))
        finally:
            os.kill(place.pid, signal.SIGCONT)
    target = verdict(most, "<=", 1, "a process")
    return [
        *rows,
        Row(f"{title}, Redis hangs: loads a process, most of 3", most, "", target=target),
    ]


def _rush(loaders: list[support.Agent], key: str) -> list[int]:
    begin = time.monotonic() + 0.3
    for one in loaders:
        one.tell(f"rush({key!r}, {begin})")
    told = [one.answer() for one in loaders]
    assert [got for _, got in told] == [THREADS] * LOADERS, told
    return [loads for loads, _ in told]

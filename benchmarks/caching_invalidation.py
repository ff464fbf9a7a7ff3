"""Invalidation of 100 values among a million: by pattern, by tag, of a namespace; and the sweep.

Two clocks tell how long Redis was busy with one thing: another process that sends it a PING as soon
as the last one is answered, and Redis's own slow log. Both count the time that the machine gave to
somebody else meanwhile; the rows of "nothing at all" tell how much that is.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, Self

from django.core.cache import caches
from redis import Redis

from benchmarks.caching_speed import text
from benchmarks.place import Place
from benchmarks.table import Row, verdict
from caching.services import invalidation, sweeping
from caching.services.engines import main_engine

MILLION, PART, MANY, TIMES = 1_000_000, 10_000, 100, 30
SLOW_MICROSECONDS, IDLE_SECONDS = 100, 5

# What set.lua does to Redis, 10,000 times in one script.
FILL = """
local root, name, payload = KEYS[1], ARGV[1], ARGV[4]
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local full = name .. string.format('%07d', number)
  redis.call('SET', root .. ':default.0:' .. full, payload, 'PX', 3600000)
  redis.call('ZADD', root .. '~index:default.0', 0, full)
end
"""
# From one line to the next it sends a PING as soon as the last one is answered.
PROBE = """
import select, sys, time
from redis import Redis
client = Redis.from_url(sys.argv[1])
for _ in sys.stdin:
    client.ping()
    print("ready", flush=True)
    longest = 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        before = time.perf_counter()
        client.ping()
        longest = max(longest, time.perf_counter() - before)
    sys.stdin.readline()
    print(longest, flush=True)
"""


class Watch:
    """Tells how long Redis was busy with one thing while the block ran, in milliseconds."""

    def __init__(self, client: Redis, url: str) -> None:
        self._client = client
        self.ping_ms, self.commands_ms = 0.0, list[float]()
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", PROBE, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        assert self._say() == "ready\n"
        self._client.slowlog_reset()
        return self

    def __exit__(self, *_: object) -> None:
        log: Any = self._client.slowlog_get(100_000)
        self.commands_ms += [
            one["duration"] / 1000 for one in log if not one["command"].startswith(b"SLOWLOG")
        ]
        self.ping_ms = max(self.ping_ms, float(self._say()) * 1000)

    def _say(self) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def rows(self, title: str) -> list[Row]:
        """End the process; return what was the longest in all blocks."""
        self._process.kill()
        self._process.wait()
        told = sorted(self.commands_ms) or [SLOW_MICROSECONDS / 1000]
        usual, worst = told[int(len(told) * 0.99)], told[-1]
        judged = verdict(usual, "<=", 2, "ms")
        return [
            Row(f"{title}: Redis's slow commands, 99 % of {len(told)}", usual, "ms", target=judged),
            Row(f"{title}: Redis's slowest", worst, "ms", target=verdict(worst, "<=", 2, "ms")),
            Row(f"{title}: another's longest PING", self.ping_ms, "ms"),
        ]


def invalidations(place: Place) -> list[Row]:
    """Fill Redis, invalidate in each way, and sweep what is left."""
    cache: Any = caches["default"]
    with Redis.from_url(place.url) as client:
        client.config_set("slowlog-log-slower-than", SLOW_MICROSECONDS)
        client.config_set("slowlog-max-len", 100_000)
        _fill(client)
        values = {f"x:{number}": text() for number in range(MANY)}
        rows, took_ms = _timed(
            Watch(client, place.url),
            "delete_pattern",
            lambda: cache.set_many(values),
            lambda: cache.delete_pattern("x:*"),
        )
        more, _ = _timed(
            Watch(client, place.url),
            "tag",
            lambda: cache.set_many(values, tags=["tag"]),
            lambda: invalidation.tag(cache, "tag"),
        )
        rows += [_peer(values, took_ms), *more, *_namespace(client, place.url)]
        with (nothing := Watch(client, place.url)):
            time.sleep(IDLE_SECONDS)
        return [*rows, *nothing.rows(f"nothing at all for {IDLE_SECONDS} s")]


def _fill(client: Redis) -> None:
    tiers: Any = main_engine().cache
    item, _ = tiers.packed(tiers.spaces.default, ":1:m:0000000", text(), 3600)
    fill = client.register_script(FILL)
    for first in range(0, MILLION - MANY, PART):
        last = min(first + PART, MILLION - MANY) - 1
        fill(keys=[tiers.remote.root], args=[":1:m:", first, last, item.payload])


def _timed(
    watch: Watch, title: str, prepare: Callable[[], Any], invalidate: Callable[[], int]
) -> tuple[list[Row], float]:
    took = []
    for _ in range(TIMES):
        prepare()
        with watch:
            before = time.perf_counter()
            assert invalidate() == MANY
            took.append((time.perf_counter() - before) * 1000)
    usual, title = median(took), f"{title}, {MANY} among a million"
    rows = [
        Row(f"{title}: Tuneup, median", usual, "ms", 1.0, verdict(usual, "<=", 5, "ms")),
        Row(f"{title}: Tuneup, worst of {TIMES}", max(took), "ms", max(took) / usual),
        *watch.rows(title),
    ]
    return rows, usual


def _peer(values: dict[str, str], reference_ms: float) -> Row:
    peer: Any = caches["redis"]
    peer.set_many(values)
    before = time.perf_counter()
    assert peer.delete_pattern("x:*") == MANY
    took = (time.perf_counter() - before) * 1000
    title = f"delete_pattern, {MANY} among a million: django-redis, once"
    return Row(title, took, "ms", took / reference_ms)


def _namespace(client: Redis, url: str) -> list[Row]:
    cache: Any = caches["default"]
    cache.set("m:last", 1)
    watch = Watch(client, url)
    with watch:
        before = time.perf_counter()
        invalidation.namespaces(cache, ["default"])
        took = (time.perf_counter() - before) * 1000
    assert cache.get("m:last") is None
    title = "namespace of a million"
    judged = verdict(took, "<=", 5, "ms")
    rows = [Row(f"{title}: Tuneup", took, "ms", target=judged), *watch.rows(title)]
    watch, runs, names = Watch(client, url), 0, 0
    before, finished = time.perf_counter(), False
    while not finished:
        with watch:
            swept = sweeping.sweep_all()["redis"]
        runs, names, finished = runs + 1, names + swept.seen, swept.finished
    took = time.perf_counter() - before
    assert not client.smembers(f"{main_engine().remote.root}~garbage")
    title = f"sweep of {names:,} names, {runs} runs"
    return [*rows, Row(title, took, "s"), *watch.rows(title)]

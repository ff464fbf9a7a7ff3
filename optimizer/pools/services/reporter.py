"""Once a second: sweep this process's pools, and tell how they stand.

A process's report is one value in Redis that expires by itself; so what is summed over processes is
what lives. While Redis is away only this process is seen.
"""

import os
import socket
from collections import Counter, deque
from time import monotonic
from typing import Any

import msgspec
import redis

from optimizer.control import watcher
from optimizer.control.redis import RedisAway, call
from optimizer.control.series import Series
from optimizer.pools import metrics
from optimizer.pools.engine.base import pools
from optimizer.pools.engine.statistics import Gauges, Totals
from optimizer.pools.live import limits_of
from optimizer.pools.services import leaks

EXPIRY_SECONDS = 5
WINDOW_SECONDS = 60.0
_STEP_SECONDS = 5.0
_INDEX = "tuneup:{pools}:processes"
_REPORT = "tuneup:{pools}:process:"
COUNTED = ("acquired", "queued", "timeouts", "created", "closed", "errors", "lost", "leaked")

series = Series("pools")


class PoolReport(msgspec.Struct):
    """One pool of one process; `recent` is what happened in the last `recent_seconds`."""

    alias: str
    kind: str
    min_size: int
    max_size: int
    gauges: Gauges
    totals: Totals
    recent: Totals
    recent_seconds: float


class ProcessReport(msgspec.Struct):
    """All pools of one process."""

    name: str
    role: str
    pools: list[PoolReport]


class Reporter:
    """What was told last, so that only news are counted."""

    def __init__(self) -> None:
        self._told: dict[str, Totals] = {}
        self._history: dict[str, deque[tuple[float, Totals]]] = {}

    def turn(self) -> None:
        """Sweep and report once."""
        for pool in pools.all():
            pool.sweep()
        report = self.report()
        if not report.pools:
            return
        counts: Counter[str] = Counter()
        for one in report.pools:
            self._count(one, counts)
        series.add(counts)
        try:
            series.send()
            call(lambda r: _send(r, report))
        except RedisAway:
            return

    def report(self) -> ProcessReport:
        """Return how this process's pools stand; pools of one alias are one."""
        merged: dict[str, tuple[str, Gauges, Totals, int]] = {}
        for pool in pools.all():
            kind, gauges, totals, count = merged.get(pool.alias, (pool.kind, Gauges(), Totals(), 0))
            sums = _sum(gauges, pool.gauges()), totals.plus(pool.statistics.totals())
            merged[pool.alias] = (kind, *sums, count + 1)
        now = monotonic()
        found = []
        for alias, (kind, gauges, totals, count) in sorted(merged.items()):
            limits = limits_of(alias, kind)
            recent, seconds = self._recent(alias, totals, now)
            found.append(
                PoolReport(
                    alias,
                    kind,
                    limits.min_size * count,
                    limits.max_size * count,
                    gauges,
                    totals,
                    recent,
                    seconds,
                )  # fmt: skip
            )
        status = watcher.status()
        return ProcessReport(f"{socket.gethostname()}:{os.getpid()}", status["role"], found)

    def _recent(self, alias: str, totals: Totals, now: float) -> tuple[Totals, float]:
        history = self._history.setdefault(alias, deque([(now, Totals())]))
        while len(history) > 1 and history[1][0] <= now - WINDOW_SECONDS:
            history.popleft()
        if totals.acquired < history[-1][1].acquired:  # a pool has gone, and its counts with it
            history.clear()
            history.append((now, totals))
        began, before = history[0]
        if now - history[-1][0] >= _STEP_SECONDS:
            history.append((now, totals))
        return totals.since(before), now - began

    def _count(self, one: PoolReport, counts: Counter[str]) -> None:
        before = self._told.get(one.alias, Totals())
        if one.totals.acquired < before.acquired:
            before = Totals()
        news = one.totals.since(before)
        self._told[one.alias] = one.totals
        metrics.tell(one.alias, one.kind, one.gauges, news)
        for name in COUNTED:
            if (number := getattr(news, name)) > 0:
                counts[f"{one.alias}:{name}"] += number
        # Sums of what is looked at once a second: over ten seconds their tenth is the mean.
        for name in ("in_use", "idle", "waiting"):
            if number := getattr(one.gauges, name):
                counts[f"{one.alias}:{name}"] += number


def _sum(one: Gauges, other: Gauges) -> Gauges:
    both = {name: getattr(one, name) + getattr(other, name) for name in Gauges.__struct_fields__}
    return Gauges(**{**both, "held_at_once": max(one.held_at_once, other.held_at_once)})


def _send(r: redis.Redis, report: ProcessReport) -> None:
    pipe = r.pipeline(transaction=False)
    pipe.sadd(_INDEX, report.name)
    pipe.set(_REPORT + report.name, msgspec.msgpack.encode(report), ex=EXPIRY_SECONDS)
    pipe.execute()
    leaks.send(r)


def reports() -> list[ProcessReport]:
    """Return the reports of all living processes. Raises RedisAway."""

    def read(r: redis.Redis) -> list[ProcessReport]:
        names: list[Any] = sorted(r.smembers(_INDEX))
        values: Any = r.mget([_REPORT + name.decode() for name in names]) if names else []
        ended = [name for name, value in zip(names, values, strict=True) if value is None]
        if ended:
            r.srem(_INDEX, *ended)
        return [msgspec.msgpack.decode(one, type=ProcessReport) for one in values if one]

    return call(read)


reporter = Reporter()


def report() -> None:
    """Sweep and report this process's pools."""
    reporter.turn()


def begin_anew() -> None:
    """Forget what the parent told, as after a fork."""
    global reporter, series
    reporter, series = Reporter(), Series("pools")

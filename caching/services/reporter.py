"""What a process counted, told once a second: to Prometheus, to the charts, and to the admin."""

import os
import socket
from collections import Counter
from typing import Any

import msgspec

from caching import metrics
from caching.engine.curve import Histogram
from caching.engine.hot_keys import Summary
from caching.engine.namespace import COUNTS, Space
from caching.services.engines import Engine, known_engines
from optimizer.control.redis import RedisAway, call, server_time
from optimizer.control.series import Series

PROCESSES = "tuneup:{caching}:processes"
PROCESS = "tuneup:{caching}:process:"
EXPIRY_SECONDS = 6
_HOT_KEYS_TOLD = 50
OUTCOMES = ("l1_hits", "l2_hits", "stale", "misses")
series = Series("caching")


class NamespaceReport(msgspec.Struct, array_like=True):
    """What a process holds of a namespace in its first tier, and did since it began."""

    used_bytes: int = 0
    entries: int = 0
    evicted: int = 0
    load_seconds: float = 0.0
    counts: dict[str, int] = {}


class ProcessReport(msgspec.Struct, array_like=True):
    """What a process tells of itself; `staleness_seconds` is -1 where no line is open."""

    host: str
    pid: int
    used_bytes: int
    budget_bytes: int
    staleness_seconds: float
    losses: int
    pending: int
    alarm: str
    namespaces: dict[str, NamespaceReport]
    curve: Histogram
    hot_keys: Summary


class Reporter:
    """Tells what one engine counted since the last time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._before: Counter[tuple[str, str]] = Counter()
        self._losses = 0
        self._named: set[str] = set()

    def report(self) -> None:
        """Report once; while Redis is away the charts' counts are kept for later."""
        cache = self._engine.cache
        held = cache.store.by_namespace()
        counted: Counter[str] = Counter()
        spaces = list(cache.spaces.by_name.values())
        for gone in self._named - {one.name for one in spaces}:
            metrics.L1_BYTES.labels(gone).set(0)
            metrics.L1_ENTRIES.labels(gone).set(0)
        self._named = {one.name for one in spaces}
        for space in spaces:
            used_bytes, entries, evicted = held.get(space.name, (0, 0, 0))
            metrics.L1_BYTES.labels(space.name).set(used_bytes)
            metrics.L1_ENTRIES.labels(space.name).set(entries)
            for name, more in self._news(space, evicted):
                _count(space.name, name, more)
                if name in OUTCOMES:
                    counted[f"{name}|{space.name}"] += int(more)
        metrics.STALENESS.set(cache.line.staleness_seconds if cache.line.connected else -1)
        metrics.LOSSES.inc(cache.line.losses - self._losses)
        self._losses = cache.line.losses
        metrics.PENDING.set(len(cache.pending))
        reads = sum(int(one.counts[name]) for one in spaces for name in OUTCOMES)
        cache.usage.tick(reads, 1.0)
        series.add(counted)
        try:
            series.send()
            self._send(self.told())
        except RedisAway:
            return

    def _news(self, space: Space, evicted: int) -> list[tuple[str, float]]:
        """Return what has grown since the last report."""
        now: dict[str, float] = {name: int(space.counts[name]) for name in COUNTS}
        now |= {"evicted": evicted, "load_seconds": space.load_seconds}
        grown = []
        for name, value in now.items():
            more = value - self._before[space.name, name]
            if more > 0:
                grown.append((name, more))
            self._before[space.name, name] = value  # type: ignore[assignment]
        return grown

    def told(self) -> ProcessReport:
        """Return what this process tells of itself now."""
        cache = self._engine.cache
        held, line = cache.store.by_namespace(), cache.line
        return ProcessReport(
            socket.gethostname(),
            os.getpid(),
            cache.store.used_bytes,
            cache.store.budget_bytes,
            line.staleness_seconds if line.connected else -1.0,
            line.losses,
            len(cache.pending),
            cache.alarm,
            {
                space.name: NamespaceReport(
                    *held.get(space.name, (0, 0, 0)),
                    space.load_seconds,
                    {name: int(count) for name, count in space.counts.items() if int(count)},
                )
                for space in list(cache.spaces.by_name.values())
            },
            cache.usage.curve.snapshot(),
            cache.usage.hot_keys.summary(_HOT_KEYS_TOLD),
        )

    @property
    def me(self) -> str:
        """The name that this process reports its engine under."""
        return f"{socket.gethostname()}:{os.getpid()}:{self._engine.alias}"

    def _send(self, told: ProcessReport) -> None:
        me = self.me
        document = msgspec.msgpack.encode(told)

        def write(r: Any) -> None:
            now = server_time(r)
            pipe = r.pipeline(transaction=False)
            pipe.set(PROCESS + me, document, ex=EXPIRY_SECONDS)
            pipe.zadd(PROCESSES, {me: now})
            pipe.zremrangebyscore(PROCESSES, "-inf", now - EXPIRY_SECONDS)
            pipe.execute()

        call(write)


def _count(namespace: str, name: str, more: float) -> None:
    if name in OUTCOMES:
        metrics.REQUESTS.labels(namespace, name).inc(more)
    elif name == "load_seconds":
        metrics.LOAD_SECONDS.labels(namespace).inc(more)
    elif name == "evicted":
        metrics.EVICTIONS.labels(namespace).inc(more)
    else:
        metrics.OPERATIONS.labels(namespace, name).inc(more)


def told_here(engine: Engine) -> tuple[str, ProcessReport]:
    """Return what this process tells of an engine now, and under which name."""
    reporter = Reporter(engine)
    return reporter.me, reporter.told()


_reporters: dict[str, Reporter] = {}


def report() -> None:
    """Report what this process counted; nothing where it has used no cache."""
    for engine in known_engines():
        if engine.backplane.alive:
            if engine.alias not in _reporters:
                _reporters[engine.alias] = Reporter(engine)
            _reporters[engine.alias].report()


os.register_at_fork(after_in_child=_reporters.clear)

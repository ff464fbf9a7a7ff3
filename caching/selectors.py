"""What the dashboard, the pages and the API tell of the cache."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from caching.engine.curve import Histogram
from caching.engine.curve import merge as merge_curves
from caching.engine.hot_keys import Counted
from caching.engine.hot_keys import merge as merge_hot_keys
from caching.engine.namespace import COUNTS
from caching.live import caching
from caching.services.engines import main_engine
from caching.services.reporter import (
    OUTCOMES,
    PROCESS,
    PROCESSES,
    ProcessReport,
    series,
    told_here,
)
from optimizer.control.redis import RedisAway, call

BUDGET_STEPS = (0.25, 0.5, 1.0, 1.5, 2.0, 4.0)  # of the present budget, shown in the advice
_WORTH_POINTS = 0.5  # of the hit ratio, for a budget to be advised
_report = msgspec.msgpack.Decoder(ProcessReport).decode


def status() -> dict[str, Any]:
    """Return the cache's state in this process, from memory alone."""
    settings, engine = caching.current(), main_engine()
    cache = engine.cache
    counts = _counts_here()
    reads = sum(counts[name] for name in OUTCOMES)
    hits = counts["l1_hits"] + counts["l2_hits"]
    return {
        "enabled": settings.enabled,
        "policy": settings.l1_policy,
        "l1_used_bytes": cache.store.used_bytes,
        "l1_budget_bytes": settings.l1_budget_bytes,
        "namespaces": len(settings.namespaces),
        "hit_percent": round(100 * hits / reads, 1) if reads else 0.0,
        "confirmed_ms_ago": round(cache.line.staleness_seconds * 1000)
        if cache.line.connected
        else "no line is open",
        "circuit_breaker": engine.link.breaker.state,
        "pending_invalidations": len(cache.pending),
        "alarm": cache.alarm,
    }


def _counts_here() -> Counter[str]:
    counts: Counter[str] = Counter()
    for space in list(main_engine().cache.spaces.by_name.values()):
        counts.update({name: int(count) for name, count in space.counts.items()})
    return counts


@dataclass(slots=True)
class NamespaceStats:
    """A namespace over all living processes, since each began."""

    name: str
    used_bytes: int = 0
    entries: int = 0
    evicted: int = 0
    load_seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def reads(self) -> int:
        return sum(self.counts[name] for name in OUTCOMES)

    @property
    def hits(self) -> int:
        return self.counts["l1_hits"] + self.counts["l2_hits"] + self.counts["stale"]

    @property
    def hit_ratio(self) -> float:
        return self.hits / self.reads if self.reads else 0.0

    @property
    def l1_hit_ratio(self) -> float:
        return self.counts["l1_hits"] / self.reads if self.reads else 0.0

    @property
    def mean_load_seconds(self) -> float:
        loads = self.counts["loads"]
        return self.load_seconds / loads if loads else 0.0

    @property
    def saved_seconds(self) -> float:
        """The time that loads would have taken instead of the hits, at their mean."""
        return self.hits * self.mean_load_seconds


@dataclass(frozen=True, slots=True)
class Overview:
    """The cache over all living processes."""

    processes: list[ProcessReport]
    namespaces: list[NamespaceStats]
    hot_keys: list[Counted]
    curve: Histogram

    @property
    def total(self) -> NamespaceStats:
        """The sum of all namespaces."""
        total = NamespaceStats("all")
        for one in self.namespaces:
            total.used_bytes += one.used_bytes
            total.entries += one.entries
            total.evicted += one.evicted
            total.load_seconds += one.load_seconds
            total.counts.update(one.counts)
        return total

    @property
    def saved_seconds(self) -> float:
        return sum(one.saved_seconds for one in self.namespaces)


def overview() -> Overview:
    """Return what all living processes last told, and what this one has now. Raises RedisAway."""
    me, here = told_here(main_engine())

    def read(r: redis.Redis) -> list[Any]:
        members: Any = [one for one in r.zrange(PROCESSES, 0, -1) if one != me.encode()]
        found: Any = r.mget([PROCESS + one.decode() for one in members]) if members else []
        return [one for one in found if one is not None]

    reports = (
        [here] if here.used_bytes or any(one.counts for one in here.namespaces.values()) else []
    )
    for document in call(read):
        try:
            reports.append(_report(document))
        except msgspec.DecodeError:  # a process of another version
            continue
    return _summed(reports)


def _summed(reports: list[ProcessReport]) -> Overview:
    stats: dict[str, NamespaceStats] = {}
    for told in reports:
        for name, one in told.namespaces.items():
            of = stats.setdefault(name, NamespaceStats(name))
            of.used_bytes += one.used_bytes
            of.entries += one.entries
            of.evicted += one.evicted
            of.load_seconds += one.load_seconds
            of.counts.update(one.counts)
    return Overview(
        sorted(reports, key=lambda one: (one.host, one.pid)),
        sorted(stats.values(), key=lambda one: (-one.reads, one.name)),
        merge_hot_keys(one.hot_keys for one in reports)[:20],
        merge_curves(one.curve for one in reports),
    )


def rates(seconds: int = 3600) -> tuple[list[int], dict[tuple[str, str], list[int]]]:
    """Return the starts of ten-second slots, and the counts by outcome and namespace.

    Raises RedisAway.
    """
    slots, counts = series.read(seconds)
    named: dict[tuple[str, str], list[int]] = {}
    for name, values in counts.items():
        outcome, _, namespace = name.partition("|")
        named[outcome, namespace] = values
    return slots, named


@dataclass(frozen=True, slots=True)
class Advice:
    """What another budget would hit, from 0 to 1; `gain_points` is against the present one."""

    budget_bytes: int
    hit_ratio: float
    gain_points: float
    is_present: bool
    is_advised: bool = False


def advice(curve: Histogram, budget_bytes: int) -> list[Advice]:
    """Return what smaller and larger budgets would hit, and which is worth it.

    Advised is the smallest budget that comes within half a point of the best one shown.
    """
    budgets = [int(budget_bytes * step) for step in BUDGET_STEPS]
    ratios = curve.points(budgets)
    present = ratios[BUDGET_STEPS.index(1.0)]
    enough = max(ratios) - _WORTH_POINTS / 100
    advised = next(at for at, ratio in enumerate(ratios) if ratio >= enough)
    return [
        Advice(budget, ratio, 100 * (ratio - present), step == 1.0, at == advised and step != 1.0)
        for at, (step, budget, ratio) in enumerate(zip(BUDGET_STEPS, budgets, ratios, strict=True))
    ]


def stats() -> dict[str, Any]:
    """Return the statistics by tier and namespace as plain data.

    With Redis away of this process alone, and `redis_away` says so.
    """
    try:
        found, away = overview(), False
    except RedisAway:
        found, away = _summed([told_here(main_engine())[1]]), True
    budget = caching.current().l1_budget_bytes
    return {
        "redis_away": away,
        "processes": [
            {
                "host": one.host,
                "pid": one.pid,
                "l1_used_bytes": one.used_bytes,
                "l1_budget_bytes": one.budget_bytes,
                "confirmed_seconds_ago": one.staleness_seconds,
                "losses": one.losses,
                "pending_invalidations": one.pending,
                "alarm": one.alarm,
            }
            for one in found.processes
        ],
        "total": _plain(found.total) | {"saved_seconds": round(found.saved_seconds, 3)},
        "namespaces": {one.name: _plain(one) for one in found.namespaces},
        "hot_keys": [{"key": one.key, "hits": round(one.count)} for one in found.hot_keys],
        "curve": [
            {
                "l1_budget_bytes": one.budget_bytes,
                "hit_ratio": round(one.hit_ratio, 4),
                "advised": one.is_advised,
            }
            for one in advice(found.curve, budget)
        ]
        if found.curve.requests
        else [],
    }


def _plain(one: NamespaceStats) -> dict[str, Any]:
    return {
        **{name: one.counts[name] for name in COUNTS},
        "reads": one.reads,
        "hit_ratio": round(one.hit_ratio, 4),
        "l1_hit_ratio": round(one.l1_hit_ratio, 4),
        "l1_bytes": one.used_bytes,
        "l1_entries": one.entries,
        "evicted": one.evicted,
        "load_seconds": round(one.load_seconds, 3),
        "mean_load_seconds": round(one.mean_load_seconds, 6),
        "saved_seconds": round(one.saved_seconds, 3),
    }

"""What clients that pick by themselves tell of their calls, and what they are told to pick from."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from optimizer.balancer import metrics
from optimizer.balancer.engine import breaker
from optimizer.balancer.engine.endpoint import OPEN
from optimizer.balancer.engine.histogram import BUCKETS
from optimizer.balancer.services import reporter, sharing
from optimizer.balancer.services.balancing import balancer


@dataclass(frozen=True, slots=True)
class Counted:
    """The calls of one backend since a client's last report."""

    backend: str
    ok: int = 0
    failed: int = 0
    unreported: int = 0
    seconds: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)  # of the latency histogram


@dataclass(frozen=True, slots=True)
class Ejected:
    """An ejection that a client decided."""

    backend: str
    reason: str
    detail: str = ""


def snapshot(name: str) -> dict[str, Any]:
    """Return what a client needs to pick by itself. Raises UnknownGroup."""
    group = balancer.group(name)
    now, ends = group.clock(), group.endpoints.values()
    return {
        "settings": msgspec.to_builtins(group.settings),
        "ejects": group.ejects,
        "unhealthy": [one.name for one in ends if one.healthy is False],
        "ejected": {
            one.name: {
                "seconds": max(0.0, one.ejected_until - now),
                "times": one.times_ejected,
                "reason": one.reason,
            }
            for one in ends
            if one.breaker == OPEN
        },
    }


def count(name: str, calls: list[Counted], ejected: list[Ejected]) -> int:
    """Count a client's calls, and share what it ejected; backends that are gone are left out.

    Return how many backends were counted. Raises UnknownGroup, and RedisAway where an ejection
    cannot be shared.
    """
    group = balancer.group(name)
    known = 0
    for one in calls:
        if one.backend not in group.endpoints:
            continue
        known += 1
        names = (name, one.backend)
        outcomes = {"ok": one.ok, "failed": one.failed, "unreported": one.unreported}
        for outcome, number in outcomes.items():
            if number:
                metrics.CALLS.labels(*names, outcome).inc(number)
        metrics.CALL_SECONDS.labels(*names).inc(one.seconds)
        counts = Counter({
            reporter.PICKS: sum(outcomes.values()),
            reporter.OK: one.ok,
            reporter.FAILED: one.failed,
            reporter.DROPPED: one.unreported,
        })  # fmt: skip
        named = {reporter.name_of(*names, what): n for what, n in counts.items() if n}
        reporter.series.add(named)
        buckets = {at: n for at, n in one.buckets.items() if 0 <= at < BUCKETS and n}
        reporter.latencies.add({reporter.name_of(*names, str(at)): n for at, n in buckets.items()})
    for news in ejected:
        if group.ejects and news.backend in group.endpoints:
            first = breaker.seconds_of(1, group.settings, 0.5)
            sharing.tell_ejection(group, news.backend, news.reason, news.detail, first, 1)
    return known

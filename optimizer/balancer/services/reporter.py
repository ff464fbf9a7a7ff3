"""What this process did, told once a second: to Prometheus, to the charts, and to the live page."""

import os
import secrets
import socket
from collections import Counter
from typing import Any

import msgspec
import redis

from optimizer.balancer import metrics
from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.group import Group
from optimizer.balancer.services.balancing import balancer
from optimizer.control.redis import RedisAway, call, server_time
from optimizer.control.series import Series

PICKS, OK, FAILED, DROPPED = "p", "o", "f", "d"
VIEWS = "tuneup:{balancer}:views"
_VIEW = "tuneup:{balancer}:view:"
_VIEW_SECONDS = 5
# Two, as there are many more latencies: a page reads an hour of the one, minutes of the other.
series, latencies = Series("balancer"), Series("balancer-latency")


class View(msgspec.Struct):
    """A backend as one process sees it."""

    in_flight: int
    ewma_seconds: float
    breaker: str
    pace: float


def name_of(group: str, backend: str, what: str) -> str:
    """Return the name of a backend's series: its picks, an outcome, or one latency bucket."""
    return f"{group}/{backend}/{what}"


class _Seen:
    """What was told of an endpoint already."""

    __slots__ = ("counts", "endpoint", "numbers")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.numbers = (0, 0, 0, 0, 0.0)
        self.counts: dict[int, int] = {}


class Reporter:
    """Reads the counters of all endpoints."""

    def __init__(self) -> None:
        self._me = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._refused: dict[str, tuple[Group, int]] = {}

    def report(self) -> None:
        """Report once; while Redis is away the charts' counts are kept, up to a bound."""
        groups = balancer.groups()
        if not groups and not series.has_unsent:
            return
        for name, group in groups.items():
            self._tell_refused(name, group)
            for endpoint in group.endpoints.values():
                self._tell(name, endpoint)
        self._forget_gone(groups)
        try:
            series.send()
            latencies.send()
            call(lambda r: self._show(r, groups))
        except RedisAway:
            return

    def _tell(self, group: str, one: Endpoint) -> None:
        seen = self._seen.get((group, one.name))
        if seen is None or seen.endpoint is not one:
            seen = self._seen[group, one.name] = _Seen(one)
        now = (one.picks, one.successes, one.failures, one.dropped, one.total_seconds)
        names = (group, one.name)
        metrics.IN_FLIGHT.labels(*names).set(one.in_flight)
        metrics.EWMA.labels(*names).set(one.ewma)
        if now == seen.numbers:
            return
        picks, ok, failed, dropped, seconds = (
            new - old for new, old in zip(now, seen.numbers, strict=True)
        )
        seen.numbers = now
        outcomes = {"ok": ok, "failed": failed, "unreported": dropped}
        for outcome, count in outcomes.items():
            if count:
                metrics.CALLS.labels(*names, outcome).inc(count)
        metrics.CALL_SECONDS.labels(*names).inc(seconds)
        counts = Counter({PICKS: int(picks), OK: int(ok), FAILED: int(failed)})
        counts[DROPPED] = int(dropped)
        new_latencies = {}
        for bucket, count in enumerate(one.counts):
            if count and (new := count - seen.counts.get(bucket, 0)):
                new_latencies[name_of(*names, str(bucket))] = new
                seen.counts[bucket] = count
        series.add({name_of(*names, what): count for what, count in counts.items() if count})
        latencies.add(new_latencies)

    def _forget_gone(self, groups: dict[str, Group]) -> None:
        """Leave no gauge standing where a backend has been taken away."""
        for group, backend in list(self._seen):
            if group not in groups or backend not in groups[group].endpoints:
                del self._seen[group, backend]
                metrics.IN_FLIGHT.labels(group, backend).set(0)
                metrics.EWMA.labels(group, backend).set(0)

    def _tell_refused(self, name: str, group: Group) -> None:
        known, before = self._refused.get(name, (group, 0))
        new = group.refused - (before if known is group else 0)
        self._refused[name] = (group, group.refused)
        if new:
            metrics.REFUSED.labels(name).inc(new)

    def _show(self, r: redis.Redis, groups: dict[str, Group]) -> None:
        document = {
            name: {
                one.name: View(one.in_flight, one.ewma, one.breaker, one.pace)
                for one in group.endpoints.values()
            }
            for name, group in groups.items()
        }
        clock = server_time(r)
        pipe = r.pipeline(transaction=False)
        pipe.set(_VIEW + self._me, msgspec.json.encode(document), ex=_VIEW_SECONDS)
        pipe.zadd(VIEWS, {self._me: clock})
        pipe.zremrangebyscore(VIEWS, "-inf", clock - _VIEW_SECONDS)
        pipe.execute()


def views() -> list[dict[str, dict[str, View]]]:
    """Return how each process that calls backends sees them. Raises RedisAway."""

    def fetch(r: redis.Redis) -> list[Any]:
        members: Any = r.zrange(VIEWS, 0, -1)
        pipe = r.pipeline(transaction=False)
        for member in members:
            pipe.get(_VIEW + member.decode())
        return pipe.execute()

    decode = msgspec.json.Decoder(dict[str, dict[str, View]]).decode
    return [decode(row) for row in call(fetch) if row]


reporter = Reporter()


def _after_fork() -> None:
    global reporter, series, latencies
    reporter = Reporter()
    series, latencies = Series("balancer"), Series("balancer-latency")


os.register_at_fork(after_in_child=_after_fork)


def report() -> None:
    """Report what this process counted."""
    reporter.report()

"""The circuit breaker of each endpoint: ejected, probed, taken back.

closed: it takes calls. open: it is ejected for a time that doubles with each ejection, up to a
bound. half-open: one call at a time probes it; enough successes close it, a failure opens it again.
Source: M. Nygard, Release It!, "Circuit Breaker"; ejection times as Envoy's, but doubling.
"""

from collections.abc import Iterable
from math import floor

from optimizer.balancer.engine.endpoint import CLOSED, HALF_OPEN, OPEN, Endpoint, Window
from optimizer.balancer.engine.settings import Group

JITTER = 0.25  # of the time, so that processes and backends do not come back in step


def seconds_of(times: int, group: Group, jitter: float) -> float:
    """Return how long the ejection number `times` (from 1) lasts; `jitter` is from 0 to 1."""
    doubled = group.ejection_seconds * 2.0 ** min(times - 1, 30)
    return min(doubled, group.max_ejection_seconds) * (1 + JITTER * jitter)


def most_ejected(count: int, group: Group) -> int:
    """Return how many of `count` endpoints may be ejected: one at least, where there is another."""
    allowed = floor(count * group.max_ejected_percent / 100)
    return min(max(1, allowed), count - 1) if group.max_ejected_percent else 0


def has_room(endpoints: Iterable[Endpoint], group: Group) -> bool:
    """Say whether one more may be ejected."""
    offered = [one for one in endpoints if one.is_offered]
    return sum(one.breaker == OPEN for one in offered) < most_ejected(len(offered), group)


def open_until(endpoint: Endpoint, until: float, times: int, reason: str) -> None:
    """Eject an endpoint until a time of the process's clock."""
    endpoint.breaker, endpoint.ejected_until = OPEN, until
    endpoint.times_ejected, endpoint.reason = times, reason
    endpoint.probes = 0


def half_open(endpoint: Endpoint) -> None:
    """Let an endpoint be probed; what was known of it no longer counts."""
    endpoint.breaker, endpoint.probes = HALF_OPEN, 0
    endpoint.ewma, endpoint.consecutive = 0.0, 0
    endpoint.window = Window()


def close(endpoint: Endpoint, now: float) -> None:
    """Take an endpoint back; its slow start begins."""
    endpoint.breaker, endpoint.reason, endpoint.ejected_until = CLOSED, "", 0.0
    endpoint.consecutive, endpoint.since = 0, now


def forget(endpoint: Endpoint, now: float, group: Group) -> None:
    """Forget earlier ejections once an endpoint has been in use as long as the longest lasts."""
    if endpoint.times_ejected and now - endpoint.since > group.max_ejection_seconds:
        endpoint.times_ejected = 0

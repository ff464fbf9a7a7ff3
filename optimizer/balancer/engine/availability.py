"""Which endpoints take calls now: priority, zone, panic, lag, slow start."""

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.balancer.engine.endpoint import HALF_OPEN, Endpoint
from optimizer.balancer.engine.settings import UNBOUNDED, Group

LEAST_PACE = 0.1  # of its weight, with which a slow start begins


@dataclass(frozen=True, slots=True)
class Available:
    """The endpoints that take calls; in `panic` those that seem unhealthy take them too."""

    endpoints: tuple[Endpoint, ...]
    panic: bool = False


def available(endpoints: Sequence[Endpoint], group: Group, zone: str) -> Available:
    """Return the endpoints of the first priority that is well enough; in panic, all of the first.

    A priority is well enough with `panic_percent` of its backends healthy: with fewer, those left
    would not bear the load of all, and it is likelier that the verdict is wrong. 0 never panics.
    """
    offered = [one for one in endpoints if one.is_offered]
    levels = sorted({one.backend.priority for one in offered})
    for level in levels:
        of_level = [one for one in offered if one.backend.priority == level]
        healthy = [one for one in of_level if _is_usable(one, group)]
        if healthy and 100 * len(healthy) >= group.panic_percent * len(of_level):
            return Available(tuple(_near(healthy, of_level, group, zone)))
    if levels and group.panic_percent:
        first = [one for one in offered if one.backend.priority == levels[0]]
        return Available(tuple(first), panic=True)
    return Available(())


def _is_usable(endpoint: Endpoint, group: Group) -> bool:
    return endpoint.is_healthy and not (
        group.kind == "database" and endpoint.lag_seconds > group.max_lag_seconds
    )


def _near(
    healthy: list[Endpoint], of_level: list[Endpoint], group: Group, zone: str
) -> list[Endpoint]:
    """Return those of the own zone, if enough of them are healthy."""
    if not group.zone_aware or not zone:
        return healthy
    mine = [one for one in healthy if one.backend.zone == zone]
    all_mine = sum(one.backend.zone == zone for one in of_level)
    enough = mine and 100 * len(mine) >= group.panic_percent * all_mine
    return mine if enough else healthy


def pace(endpoint: Endpoint, now: float, group: Group) -> float:
    """Return the share of its weight that an endpoint has in its slow start; 1 after it."""
    window = group.slow_start_seconds
    if now - endpoint.since >= window:
        return 1.0
    return max(LEAST_PACE, (now - endpoint.since) / window)


def limit(endpoint: Endpoint, panic: bool) -> int:
    """Return how many calls may be under way on an endpoint that takes calls."""
    if endpoint.breaker == HALF_OPEN and not panic:
        return 1
    return endpoint.backend.max_in_flight or UNBOUNDED

"""The state of groups and backends as this process sees them, from memory alone."""

from typing import Any

from optimizer.balancer.engine.endpoint import HALF_OPEN, OPEN, Endpoint
from optimizer.balancer.engine.group import Group
from optimizer.balancer.live import balancer as live
from optimizer.balancer.services.balancing import balancer


def state_of(endpoint: Endpoint, group: Group) -> str:
    """Return a backend's state in a word or two."""
    if not endpoint.backend.enabled:
        return "disabled"
    if endpoint.backend.draining:
        return "draining"
    if endpoint.breaker == OPEN:
        return "ejected"
    if endpoint.healthy is False:
        return "unhealthy"
    settings = group.settings
    if settings.kind == "database" and endpoint.lag_seconds > settings.max_lag_seconds:
        return "lagging"
    return "probed" if endpoint.breaker == HALF_OPEN else "in use"


def groups() -> list[dict[str, Any]]:
    """Return every group with its backends."""
    every = [balancer.group(name) for name in live.current().groups]
    return [
        {
            "name": group.settings.name,
            "kind": group.settings.kind,
            "strategy": group.settings.strategy,
            "panic": group.available.panic,
            "backends": [_backend(one, group) for one in group.endpoints.values()],
        }
        for group in every
    ]


def _backend(one: Endpoint, group: Group) -> dict[str, Any]:
    return {
        "name": one.name,
        "address": one.address,
        "state": state_of(one, group),
        "reason": one.reason,
        "weight": one.backend.weight,
        "in_flight": one.in_flight,
        "ewma_seconds": one.ewma,
        "picks": one.picks,
        "failures": one.failures,
    }


def status() -> dict[str, Any]:
    """Return what the dashboard shows, quickly and without raising."""
    settings = live.current()
    every = [balancer.group(name) for name in settings.groups]
    backends = [(one, group) for group in every for one in group.endpoints.values()]
    states = [state_of(one, group) for one, group in backends]
    return {
        "ejects": settings.ejects,
        "groups": len(every),
        "backends": len(backends),
        "in_use": sum(state in ("in use", "probed") for state in states),
        "ejected": states.count("ejected"),
        "unhealthy": states.count("unhealthy"),
        "in_panic": [one.settings.name for one in every if one.available.panic],
    }

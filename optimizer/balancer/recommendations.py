"""What a review recommends of backends: those that fail, and groups that cannot lose one."""

from optimizer.balancer.selectors.shared import BackendState, GroupState, overview
from optimizer.control.recommendations import Place, Recommendation

_LEAST_CALLS = 1000  # in the last hour
_LEAST_SUCCESS_RATIO = 0.99


def recommend() -> list[Recommendation]:
    """Return what is worth doing, by the last hour. Raises RedisAway."""
    return [
        one
        for group in overview()
        for one in (*_of(group), *(told for own in group.backends for told in _backend(group, own)))
    ]


def _of(group: GroupState) -> list[Recommendation]:
    offered = [one for one in group.backends if one.backend.enabled and not one.backend.draining]
    picks = sum(one.picks for one in group.backends)
    if len(offered) != 1 or picks < _LEAST_CALLS:
        return []
    return [
        Recommendation(
            f"alone:{group.name}",
            f"The group {group.name} has one backend",
            f"{picks:,} calls in the last hour depend on {offered[0].name} alone.",
            _place(group),
        )
    ]


def _backend(group: GroupState, one: BackendState) -> list[Recommendation]:
    name, ratio = f"{group.name}/{one.name}", one.figures.success_ratio
    if one.state in ("ejected", "unhealthy"):
        says = f"It is {one.state}: {one.because or 'see its page'}."
        return [Recommendation(f"away:{name}", f"The backend {name} is out", says, _place(group))]
    if one.picks < _LEAST_CALLS or ratio is None or ratio >= _LEAST_SUCCESS_RATIO:
        return []
    return [
        Recommendation(
            f"fails:{name}",
            f"The backend {name} fails",
            f"{100 * (1 - ratio):.2g} % of {one.picks:,} calls in the last hour failed, and it is "
            "not ejected: lower the group's limits, or see to it.",
            _place(group),
        )
    ]


def _place(group: GroupState) -> Place:
    return Place("admin:balancer_live", query=f"group={group.name}")

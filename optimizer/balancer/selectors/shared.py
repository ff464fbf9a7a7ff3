"""The state of groups and backends over all processes: what Redis knows, and the last hour."""

from dataclasses import dataclass, field

from optimizer.balancer.engine.endpoint import HALF_OPEN
from optimizer.balancer.engine.settings import Backend, Group
from optimizer.balancer.live import balancer as live
from optimizer.balancer.selectors.statistics import BackendFigures, Figures, figures
from optimizer.balancer.services import reporter, sharing
from optimizer.balancer.services.reporter import View
from optimizer.balancer.services.sharing import Ejection, Health, Shared, field_of
from optimizer.control.series import SLOT_SECONDS

_LATELY_SLOTS = 6  # the rate shown is of the last minute


@dataclass(frozen=True, slots=True)
class BackendState:
    """A backend over all processes."""

    backend: Backend
    state: str
    because: str
    figures: BackendFigures
    weight_share: float
    traffic_share: float
    in_flight: int
    ewma_seconds: float
    ejection: Ejection | None
    ejection_left_seconds: float
    health: Health | None

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def shown_address(self) -> str:
        """The address without the password that a Redis may have in it."""
        scheme, slashes, rest = self.backend.address.rpartition("//")
        return f"{scheme}{slashes}{rest.rpartition('@')[2]}"

    @property
    def picks(self) -> int:
        return self.figures.picks

    @property
    def calls_per_second(self) -> float:
        return sum(self.figures.slots[-_LATELY_SLOTS:]) / (_LATELY_SLOTS * SLOT_SECONDS)

    @property
    def success_text(self) -> str:
        ratio = self.figures.success_ratio
        return "-" if ratio is None else f"{100 * ratio:.2f} %"

    @property
    def p50_seconds(self) -> float:
        return self.figures.percentiles[0]

    @property
    def p95_seconds(self) -> float:
        return self.figures.percentiles[1]

    @property
    def p99_seconds(self) -> float:
        return self.figures.percentiles[2]


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group over all processes."""

    settings: Group
    backends: list[BackendState]
    times: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def in_panic(self) -> bool:
        offered = [one for one in self.backends if one.state not in ("disabled", "draining")]
        well = sum(one.state in ("in use", "probed") for one in offered)
        return bool(offered) and 100 * well < self.settings.panic_percent * len(offered)


def overview() -> list[GroupState]:
    """Return every group, by name. Raises RedisAway."""
    shared, found, views = sharing.read(), figures(), reporter.views()
    return [
        _group(one, shared, found.get(one.name, Figures([], {})), views)
        for one in live.current().groups.values()
    ]


def _group(
    settings: Group, shared: Shared, found: Figures, views: list[dict[str, dict[str, View]]]
) -> GroupState:
    weights = sum(one.weight for one in settings.backends if one.enabled and not one.draining)
    picks = sum(found.backends[one.name].picks for one in settings.backends
                if one.name in found.backends)  # fmt: skip
    states = []
    for one in settings.backends:
        at = field_of(settings.name, one.name)
        seen = [view[settings.name][one.name] for view in views
                if one.name in view.get(settings.name, {})]  # fmt: skip
        health = shared.health.get(at) if settings.check_kind != "none" else None
        ejection = shared.ejection(at)
        lag = shared.lag.get(at)
        state, because = _state(one, settings, ejection, health, lag.seconds if lag else 0.0, seen)
        figure = found.backends.get(one.name) or BackendFigures(
            [0] * len(found.times), [0] * len(found.times)
        )
        offered = one.enabled and not one.draining
        states.append(
            BackendState(
                backend=one,
                state=state,
                because=because,
                figures=figure,
                weight_share=one.weight / weights if offered and weights else 0.0,
                traffic_share=figure.picks / picks if picks else 0.0,
                in_flight=sum(view.in_flight for view in seen),
                ewma_seconds=max((view.ewma_seconds for view in seen), default=0.0),
                ejection=ejection,
                ejection_left_seconds=ejection.until - shared.now if ejection else 0.0,
                health=health,
            )
        )
    return GroupState(settings, states, found.times)


def _state(
    one: Backend,
    settings: Group,
    ejection: Ejection | None,
    health: Health | None,
    lag_seconds: float,
    seen: list[View],
) -> tuple[str, str]:
    if not one.enabled:
        return "disabled", ""
    if one.draining:
        return "draining", ""
    if ejection is not None:
        detail = f": {ejection.detail}" if ejection.detail else ""
        return "ejected", f"{ejection.reason}{detail}"
    if health is not None and not health.healthy:
        return "unhealthy", health.says
    if settings.kind == "database" and lag_seconds > settings.max_lag_seconds:
        return "lagging", f"{lag_seconds:.1f} s behind"
    if any(view.breaker == HALF_OPEN for view in seen):
        return "probed", "after its ejection"
    return "in use", ""

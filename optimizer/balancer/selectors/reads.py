"""Where database reads went in the last hour, over all processes, and how far replicas lag."""

from dataclasses import dataclass

from django.conf import settings

from optimizer.balancer.services import sharing
from optimizer.balancer.services.reads import replicas
from optimizer.balancer.services.reads.readers import PRIMARY
from optimizer.balancer.services.reads.statistics import AVOIDED, REDONE, series
from optimizer.balancer.services.sharing import LAG_SECONDS, Shared, field_of


@dataclass(frozen=True, slots=True)
class Reason:
    """Why reads went to the primary, and how many."""

    says: str
    reads: int
    percent: float


@dataclass(frozen=True, slots=True)
class Reads:
    """The reads of the last hour; `slots` of each ten seconds by alias."""

    times: list[int]
    slots: dict[str, list[int]]
    reasons: list[Reason]
    avoided: int
    redone: int
    lag_seconds: dict[str, float | None]

    @property
    def total(self) -> int:
        return sum(sum(values) for values in self.slots.values())

    @property
    def on_replicas(self) -> int:
        return self.total - sum(self.slots[PRIMARY])

    @property
    def on_replicas_percent(self) -> float:
        return 100 * self.on_replicas / self.total if self.total else 0.0


def reads() -> Reads:
    """Return where reads went. Raises RedisAway."""
    shared = sharing.read()
    times, counts = series.read()
    slots = {alias: [0] * len(times) for alias in (*settings.DATABASE_REPLICAS, PRIMARY)}
    reasons: dict[str, int] = {}
    others = {AVOIDED: 0, REDONE: 0}
    for name, values in counts.items():
        what, _, reason = name.partition("|")
        if what in others:
            others[what] += sum(values)
            continue
        if what in slots:  # else a replica that the environment names no longer
            slots[what] = [a + b for a, b in zip(slots[what], values, strict=True)]
        if what == PRIMARY:
            reasons[reason] = sum(values)
    most = sum(reasons.values())
    return Reads(
        times,
        slots,
        [
            Reason(says, count, 100 * count / most)
            for says, count in sorted(reasons.items(), key=lambda one: -one[1])
        ],
        others[AVOIDED],
        others[REDONE],
        _lag(shared),
    )


def _lag(shared: Shared) -> dict[str, float | None]:
    """Return how far each replica lags as it was last told; None where nobody looks."""
    found: dict[str, float | None] = dict.fromkeys(settings.DATABASE_REPLICAS)
    group = replicas.group()
    for one in group.endpoints.values() if group is not None else ():
        lag = shared.lag.get(field_of(replicas.GROUP, one.name))
        if one.address in found and lag is not None and shared.now - lag.at < LAG_SECONDS:
            found[one.address] = lag.seconds
    return found

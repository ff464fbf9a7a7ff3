"""What other strategies would do to the calls that a group has had in the last hour."""

from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from random import Random

import msgspec

from optimizer.balancer.engine.histogram import middle, upper_bound
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.simulation import Model, Outcome, simulate
from optimizer.balancer.engine.strategies import STRATEGIES
from optimizer.balancer.live import balancer as live
from optimizer.balancer.selectors.statistics import (
    HOUR_SECONDS,
    BackendFigures,
    Figures,
    figures,
)
from optimizer.balancer.services.balancing import UnknownGroup

CALLS = 20_000  # of each strategy
MAX_CALLS = 1_000_000
MAX_TIMES = 10.0
# Backends are taken to have been this busy: it tells how many calls they serve at once.
_BUSY = 0.6


class NothingRecorded(LookupError):
    """A group without calls in the last hour."""


class BadChoice(ValueError):
    """An argument of a simulation that cannot be; `field` names it."""

    def __init__(self, field: str, says: str) -> None:
        super().__init__(f"{field} {says}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be simulated: so many times the recorded traffic, without some backends."""

    group: str
    times: float = 1.0
    without: tuple[str, ...] = ()
    calls: int = CALLS
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a simulation starts from."""

    settings: Group
    models: tuple[Model, ...]
    calls_per_second: float
    recorded: int
    calls: int
    seed: int

    @property
    def seconds(self) -> float:
        """How long the simulated traffic lasts."""
        return self.calls / self.calls_per_second

    def outcomes(self) -> Iterator[Outcome]:
        """Simulate all strategies, one after the other; some 0.2 s each for 20,000 calls."""
        for strategy in STRATEGIES:
            yield simulate(
                self.settings,
                self.models,
                strategy=strategy,
                calls_per_second=self.calls_per_second,
                seconds=self.seconds,
                seed=self.seed,
            )


def plan(asked: Asked) -> Plan:
    """Make a plan of a group's record. Raises UnknownGroup, NothingRecorded, BadChoice, RedisAway.

    Each backend's latencies and failures are drawn from its own record, or from all backends' where
    it has none; it serves so many calls at once that it was 60 % busy.
    """
    groups = live.current().groups
    if (settings := groups.get(asked.group)) is None:
        raise UnknownGroup(asked.group, list(groups))
    if not 0 < asked.times <= MAX_TIMES:
        raise BadChoice("times", f"must be above 0 and at most {MAX_TIMES:g}")
    if not 100 <= asked.calls <= MAX_CALLS:
        raise BadChoice("calls", f"must be between 100 and {MAX_CALLS}")
    names = {one.name for one in settings.backends if one.enabled and not one.draining}
    if unknown := set(asked.without) - names:
        raise BadChoice("without", f"must name backends in use: {', '.join(sorted(names))}; "
                        f"not {', '.join(sorted(unknown))}")  # fmt: skip
    used = tuple(
        one for one in settings.backends if one.name in names and one.name not in asked.without
    )
    if not used:
        raise BadChoice("without", "must leave a backend")
    recorded = figures(HOUR_SECONDS).get(asked.group)
    rate = recorded.calls_per_second if recorded is not None else 0.0
    if recorded is None or not rate or not any(b.latencies for b in recorded.backends.values()):
        raise NothingRecorded(f"group {asked.group!r} had no calls in the last hour")
    return Plan(
        settings=msgspec.structs.replace(settings, backends=used),
        models=tuple(_model(one.name, recorded, rate) for one in used),
        calls_per_second=rate * asked.times,
        recorded=recorded.picks,
        calls=asked.calls,
        seed=asked.seed,
    )


def _model(name: str, recorded: Figures, rate: float) -> Model:
    found = recorded.backends.get(name)
    known = found is not None and bool(found.latencies)
    figure = found if found is not None and known else _together(recorded)
    ended = figure.latencies.total()
    mean = sum(middle(bucket) * count for bucket, count in figure.latencies.items()) / ended
    # Its own share of the traffic; of a backend without a record, an equal one.
    share = figure.picks / recorded.picks if known else 1 / max(1, len(recorded.backends))
    return Model(
        name=name,
        servers=max(1, ceil(rate * share * mean / _BUSY)),
        seconds=_sampler(figure),
        failing=figure.failed / max(1, figure.ok + figure.failed),
    )


def _together(recorded: Figures) -> BackendFigures:
    whole = BackendFigures([], [])
    for one in recorded.backends.values():
        whole.picks += one.picks
        whole.ok += one.ok
        whole.failed += one.failed
        whole.latencies.update(one.latencies)
    return whole


def _sampler(figure: BackendFigures) -> Callable[[Random], float]:
    buckets = sorted(figure.latencies)
    sums = list(accumulate(figure.latencies[bucket] for bucket in buckets))
    ends = [(upper_bound(b - 1) if b else 0.0, upper_bound(b)) for b in buckets]

    def sample(random: Random) -> float:
        low, high = ends[min(bisect(sums, random.random() * sums[-1]), len(ends) - 1)]
        return low + (high - low) * random.random()

    return sample

"""A discrete-event simulation of a group: what a strategy would do to calls like these.

Calls come at random moments (a Poisson process); each backend is a queue with several servers,
first come first served. The strategies, ejections and averages are the real ones, on a clock that
the simulation moves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from random import Random

import msgspec

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.events import Unavailable
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.settings import Group as Settings

WARM_UP = 0.2  # of the time, not counted
_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Model:
    """How a backend behaves: `servers` calls at once, each for `seconds()` of service."""

    name: str
    servers: int
    seconds: Callable[[Random], float]
    failing: float = 0.0  # the share of calls that fail
    failing_seconds: Callable[[Random], float] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the calls after the warm-up.

    Percentiles are of the calls that succeeded; `shares` are of all picks, by backend; `imbalance`
    is the largest share over the share that the weights give it.
    """

    strategy: str
    calls: int
    p50_seconds: float
    p99_seconds: float
    error_ratio: float
    imbalance: float
    shares: dict[str, float]
    ejections: int


def exponential(mean_seconds: float) -> Callable[[Random], float]:
    """Return a sampler of exponential service times."""
    return lambda random: random.expovariate(1.0 / mean_seconds)


def simulate(
    settings: Settings,
    models: Sequence[Model],
    *,
    strategy: str = "",
    calls_per_second: float,
    seconds: float,
    callers: int = 1,
    seed: int = 1,
) -> Outcome:
    """Run `seconds` of traffic through the group with a strategy; `callers` share no state."""
    return _Run(settings, models, strategy or settings.strategy, callers, seed).run(
        calls_per_second, seconds
    )


class _Run:
    def __init__(
        self, settings: Settings, models: Sequence[Model], strategy: str, callers: int, seed: int
    ) -> None:
        self.now, self.random = 0.0, Random(seed)  # noqa: S311 (a simulation)
        settings = msgspec.structs.replace(settings, strategy=strategy)
        self.settings, self.models = settings, {one.name: one for one in models}
        # When each server is free again: heaps.
        self.free = {one.name: [0.0] * one.servers for one in models}
        self.groups = [
            Group(settings, clock=lambda: self.now, random=self.random.random)
            for _ in range(callers)
        ]
        self.ending: list[tuple[float, int, Group, Endpoint, float, bool]] = []
        self.number = self.errors = self.calls = self.ejections = 0
        self.latencies: list[float] = []
        self.picks = dict.fromkeys(self.models, 0)

    def run(self, calls_per_second: float, seconds: float) -> Outcome:
        arrives, random = 0.0, self.random
        while True:
            arrives += random.expovariate(calls_per_second)
            if arrives > seconds:
                break
            self._end_until(arrives, seconds)
            self.now = arrives
            self._call(arrives >= WARM_UP * seconds)
        self._end_until(float("inf"), seconds)
        return self._outcome()

    def _call(self, counts: bool) -> None:
        random, now = self.random, self.now
        group = self.groups[self.number % len(self.groups)]
        key = b"%d" % (random.random() * _KEYS)
        self.calls += counts
        try:
            endpoint = group.begin(key)
        except Unavailable:
            self.errors += counts
            return
        self.picks[endpoint.name] += counts
        model, free = self.models[endpoint.name], self.free[endpoint.name]
        failed = bool(model.failing) and random.random() < model.failing
        sampler = (model.failing_seconds if failed else None) or model.seconds
        ends = max(now, free[0]) + sampler(random)
        heapreplace(free, ends)
        if ends - now > self.settings.timeout_seconds:  # the caller goes, the work stays
            ends, failed = now + self.settings.timeout_seconds, True
        self.number += 1
        heappush(self.ending, (ends, self.number, group, endpoint, now, failed))

    def _end_until(self, moment: float, seconds: float) -> None:
        ending = self.ending
        while ending and ending[0][0] <= moment:
            self.now, _, group, endpoint, began, failed = heappop(ending)
            group.done(endpoint, self.now - began, failed=failed)
            if began >= WARM_UP * seconds:
                if failed:
                    self.errors += 1
                else:
                    self.latencies.append(self.now - began)
            while group.news:
                self.ejections += group.news.popleft().kind == "ejected"

    def _outcome(self) -> Outcome:
        self.latencies.sort()
        picked = sum(self.picks.values()) or 1
        weights = {one.name: one.weight for one in self.settings.backends}
        total = sum(weights.values())
        shares = {name: count / picked for name, count in self.picks.items()}
        return Outcome(
            strategy=self.settings.strategy,
            calls=self.calls,
            p50_seconds=_quantile(self.latencies, 0.5),
            p99_seconds=_quantile(self.latencies, 0.99),
            error_ratio=self.errors / (self.calls or 1),
            imbalance=max(share * total / weights[name] for name, share in shares.items()),
            shares=shares,
            ejections=self.ejections,
        )


def _quantile(ordered: Sequence[float], fraction: float) -> float:
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0.0

"""Passive outlier detection: which endpoints' own calls speak against them.

Failures in a row are counted without a reset, so that rare calls eject too. The comparisons look at
windows that fade by halves; an endpoint with few requests waits until it has enough of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group

CONSECUTIVE = "consecutive failures"
SUCCESS_RATE = "success rate"
FAILURE_PERCENT = "failure percentage"
LATENCY = "latency"
PROBE = "failed probe"


@dataclass(frozen=True, slots=True)
class Outlier:
    """An endpoint that should be ejected, why, and what was seen."""

    endpoint: Endpoint
    reason: str
    detail: str


def has_failed_in_a_row(endpoint: Endpoint, group: Group) -> bool:
    """Say whether the endpoint's last calls all failed; asked after each failure."""
    return 0 < group.consecutive_failures <= endpoint.consecutive


def compare(endpoints: Sequence[Endpoint], group: Group) -> list[Outlier]:
    """Compare endpoints in use with each other, and let their windows fade.

    Source of the two rates: Envoy's outlier detection; latency is held against the median.
    """
    known = [one for one in endpoints if one.window.requests >= group.outlier_requests]
    found: dict[str, Outlier] = {}
    if len(known) >= group.outlier_backends:
        for outlier in (*_by_rate(known, group), *_by_latency(known, group)):
            found.setdefault(outlier.endpoint.name, outlier)
    for one in known:
        one.window.fade()
    return list(found.values())


def _by_rate(known: Sequence[Endpoint], group: Group) -> list[Outlier]:
    rates = {one.name: one.window.successes / one.window.requests for one in known}
    found = []
    if group.failure_percent:
        for one in known:
            failed = 100 * (1 - rates[one.name])
            if failed >= group.failure_percent:
                found.append(Outlier(one, FAILURE_PERCENT, f"{failed:.0f} % failed"))
    if group.success_rate_stdev:
        mean = sum(rates.values()) / len(rates)
        deviation = sqrt(sum((rate - mean) ** 2 for rate in rates.values()) / len(rates))
        least = mean - group.success_rate_stdev * deviation
        for one in known:
            # Without floors, endpoints that fail once in a thousand would be outliers too.
            by_chance = one.window.failures < _LEAST_FAILURES
            if not by_chance and rates[one.name] < min(least, mean - _LEAST_DIFFERENCE):
                says = f"{100 * rates[one.name]:.1f} % of {100 * mean:.1f} % succeed"
                found.append(Outlier(one, SUCCESS_RATE, says))
    return found


def _by_latency(known: Sequence[Endpoint], group: Group) -> list[Outlier]:
    if not group.latency_factor:
        return []
    means = {
        one.name: one.window.seconds / one.window.successes for one in known if one.window.successes
    }
    if len(means) < group.outlier_backends:
        return []
    usual = median(means.values())
    found = []
    for one in known:
        mean = means.get(one.name, 0.0)
        if mean > group.latency_factor * usual and mean - usual > _LEAST_SECONDS:
            says = f"{1000 * mean:.1f} ms, the median is {1000 * usual:.1f} ms"
            found.append(Outlier(one, LATENCY, says))
    return found


_LEAST_DIFFERENCE = 0.01  # of success rates
_LEAST_FAILURES = 5
_LEAST_SECONDS = 0.002  # of latencies: below it is noise

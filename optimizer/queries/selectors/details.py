"""All that is known of one query, by its fingerprint."""

from dataclasses import dataclass

from optimizer.measures.histogram import BUCKETS, Histogram, bounds_of
from optimizer.queries.engine.hyperloglog import HyperLogLog
from optimizer.queries.models import Finding, Statement, Statistic
from optimizer.queries.selectors.statistics import Cost, since

_DOUBLING = 4  # buckets
_MOST_PLACES = 50


@dataclass(frozen=True, slots=True)
class Spread:
    """How many calls took from one duration up to another; the last ones have no upper end."""

    from_seconds: float
    to_seconds: float
    calls: int


@dataclass(frozen=True, slots=True)
class Details:
    """A query: what it is, what it cost in all, where, and how its durations are spread."""

    statement: Statement | None
    total: Cost
    places: list[Cost]  # by place and unit, the costliest first
    spread: list[Spread]
    findings: list[Finding]


def details_of(fingerprint: str, hours: int = 24) -> Details | None:
    """Return what is known of a query; None where nothing is."""
    statement = Statement.objects.filter(fingerprint=fingerprint).first()
    findings = list(Finding.objects.filter(fingerprint=fingerprint).order_by("-lost_seconds")[:20])
    rows = Statistic.objects.filter(hour__gte=since(hours), fingerprint=fingerprint)
    total, histogram, distinct = Cost(fingerprint), Histogram(), HyperLogLog()
    places: dict[tuple[str, str], tuple[Cost, Histogram, HyperLogLog]] = {}
    for row in rows.iterator(chunk_size=500):
        here = (Cost(fingerprint, row.location, row.unit), Histogram(), HyperLogLog())
        here = places.setdefault((row.location, row.unit), here)
        durations = Histogram.from_bytes(bytes(row.histogram))
        parameters = HyperLogLog.from_bytes(bytes(row.distinct))
        for cost, all_durations, all_parameters in ((total, histogram, distinct), here):
            _add(cost, row)
            all_durations.merge(durations)
            all_parameters.merge(parameters)
    if statement is None and not places and not findings:
        return None
    for cost, all_durations, all_parameters in ((total, histogram, distinct), *places.values()):
        cost.distinct = min(cost.calls, all_parameters.count())
        cost.share = cost.seconds / total.seconds if total.seconds else 0.0
        cost.p50_seconds, cost.p95_seconds, cost.p99_seconds = (
            min(cost.max_seconds, all_durations.percentile(one)) for one in (0.5, 0.95, 0.99)
        )
    total.places = len(places)
    total.text = statement.text if statement else findings[0].sql if findings else ""
    costs = sorted((cost for cost, _, _ in places.values()), key=lambda one: -one.seconds)
    return Details(statement, total, costs[:_MOST_PLACES], _spread(histogram), findings)


def _add(cost: Cost, row: Statistic) -> None:
    cost.calls += row.calls
    cost.seconds += row.seconds
    cost.max_seconds = max(cost.max_seconds, row.max_seconds)
    cost.rows += row.rows
    cost.repeats += row.repeats
    cost.n_plus_one += row.n_plus_one


def _spread(histogram: Histogram) -> list[Spread]:
    """Return the calls by doublings of the duration, from the shortest to the longest there was."""
    calls: dict[int, int] = {}
    for bucket, times in histogram.counts().items():
        part = (bucket + _DOUBLING - 1) // _DOUBLING  # bucket 0 is all that is shorter
        calls[part] = calls.get(part, 0) + times
    found = []
    for part in range(min(calls, default=0), max(calls, default=-1) + 1):
        first = max(0, (part - 1) * _DOUBLING + 1)
        last = min(part * _DOUBLING, BUCKETS - 1)
        found.append(Spread(bounds_of(first)[0], bounds_of(last)[1], calls.get(part, 0)))
    return found

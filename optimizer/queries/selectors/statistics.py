"""What queries cost: by query over some hours, and by hour for one of them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import F, Max, Sum
from django.utils import timezone

from optimizer.measures.histogram import Histogram
from optimizer.queries.engine.hyperloglog import HyperLogLog
from optimizer.queries.models import Statement, Statistic

MOST = 100


@dataclass(slots=True)
class Cost:
    """What one query came to, over all places and units or at one of them."""

    fingerprint: str
    location: str = ""
    unit: str = ""
    text: str = ""
    calls: int = 0
    seconds: float = 0.0
    max_seconds: float = 0.0
    rows: int = 0
    repeats: int = 0
    n_plus_one: int = 0
    distinct: int = 0
    places: int = 0
    p50_seconds: float = 0.0
    p95_seconds: float = 0.0
    p99_seconds: float = 0.0
    share: float = 0.0  # of the time of all queries

    @property
    def mean_seconds(self) -> float:
        """The mean time of a call."""
        return self.seconds / self.calls if self.calls else 0.0


@dataclass(slots=True)
class Hour:
    """An hour of one query; hours without calls are there, too."""

    hour: datetime
    calls: int = 0
    seconds: float = 0.0
    n_plus_one: int = 0


@dataclass(slots=True)
class _Sketches:
    histogram: Histogram = field(default_factory=Histogram)
    distinct: HyperLogLog = field(default_factory=HyperLogLog)


def since(hours: int) -> datetime:
    """Return when the hours began that end with the present one."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    return now - timedelta(hours=hours - 1)


def top_queries(hours: int = 24, most: int = 20, *, order: str = "seconds") -> list[Cost]:
    """Return the queries that took most, by `order`: seconds, calls, max_seconds, n_plus_one."""
    if order not in ("seconds", "calls", "max_seconds", "n_plus_one"):
        raise ValueError("order: must be seconds, calls, max_seconds or n_plus_one")
    rows = Statistic.objects.filter(hour__gte=since(hours)).exclude(fingerprint="")
    total = rows.aggregate(seconds=Sum("seconds"))["seconds"] or 0.0
    sums = (
        rows.values("fingerprint")
        .annotate(
            sum_calls=Sum("calls"),
            sum_seconds=Sum("seconds"),
            top_seconds=Max("max_seconds"),
            sum_rows=Sum("rows"),
            sum_repeats=Sum("repeats"),
            sum_n_plus_one=Sum("n_plus_one"),
        )
        .order_by(
            {
                "seconds": "-sum_seconds",
                "calls": "-sum_calls",
                "max_seconds": "-top_seconds",
                "n_plus_one": "-sum_n_plus_one",
            }[order],
            "fingerprint",
        )[: min(most, MOST)]
    )
    costs = {
        one["fingerprint"]: Cost(
            one["fingerprint"],
            calls=one["sum_calls"],
            seconds=one["sum_seconds"],
            max_seconds=one["top_seconds"],
            rows=one["sum_rows"],
            repeats=one["sum_repeats"],
            n_plus_one=one["sum_n_plus_one"],
            share=one["sum_seconds"] / total if total else 0.0,
        )
        for one in sums
    }
    _describe(costs, hours)
    return list(costs.values())


def _describe(costs: dict[str, Cost], hours: int) -> None:
    """Add what sums do not tell: percentiles, distinct parameters, texts, and the first place."""
    sketches: dict[str, _Sketches] = {one: _Sketches() for one in costs}
    places: dict[str, set[tuple[str, str]]] = {one: set() for one in costs}
    rows = Statistic.objects.filter(hour__gte=since(hours), fingerprint__in=list(costs))
    for row in rows.order_by("-seconds").iterator(chunk_size=500):
        sketch, cost = sketches[row.fingerprint], costs[row.fingerprint]
        sketch.histogram.merge(Histogram.from_bytes(bytes(row.histogram)))
        sketch.distinct.merge(HyperLogLog.from_bytes(bytes(row.distinct)))
        places[row.fingerprint].add((row.location, row.unit))
        if not cost.location:
            cost.location, cost.unit = row.location, row.unit
    for fingerprint, cost in costs.items():
        sketch = sketches[fingerprint]
        cost.p50_seconds, cost.p95_seconds, cost.p99_seconds = (
            min(cost.max_seconds, sketch.histogram.percentile(one)) for one in (0.5, 0.95, 0.99)
        )
        cost.distinct = min(cost.calls, sketch.distinct.count())
        cost.places = len(places[fingerprint])
    texts = Statement.objects.filter(fingerprint__in=list(costs)).values_list("fingerprint", "text")
    for fingerprint, text in texts:
        costs[fingerprint].text = text


def hours_of(fingerprint: str, location: str = "", hours: int = 24) -> list[Hour]:
    """Return the hours of a query, at one place or at all, the oldest first."""
    begin = since(hours)
    found = {begin + timedelta(hours=at): Hour(begin + timedelta(hours=at)) for at in range(hours)}
    rows = Statistic.objects.filter(hour__gte=begin, fingerprint=fingerprint)
    if location:
        rows = rows.filter(location=location)
    sums = rows.values(at=F("hour")).annotate(
        sum_calls=Sum("calls"), sum_seconds=Sum("seconds"), sum_n_plus_one=Sum("n_plus_one")
    )
    for one in sums:
        if one["at"] in found:
            found[one["at"]] = Hour(
                one["at"], one["sum_calls"], one["sum_seconds"], one["sum_n_plus_one"]
            )
    return list(found.values())

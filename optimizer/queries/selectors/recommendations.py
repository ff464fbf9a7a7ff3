"""Which queries are worth a cache, from the statistics of the last hours; which indexes to make."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Case, Min, Sum, When
from django.utils import timezone

from optimizer.queries.engine.cache_advice import Advice, Limits, Observed, advise
from optimizer.queries.live import queries
from optimizer.queries.models import IndexAdvice, Statement, Statistic, TableWrites
from optimizer.queries.models.findings import State
from optimizer.queries.selectors.statistics import Cost, since, top_queries

_ROW_BYTES = 300  # as a pickled row of some ten fields takes
_UNKNOWN_BYTES = 2000  # SQLite does not tell how many rows an answer has


@dataclass(frozen=True, slots=True)
class CacheAdvice:
    """Advice on a query, with what it costs."""

    advice: Advice
    cost: Cost


def cache_advice(hours: int = 24, most: int = 50) -> list[CacheAdvice]:
    """Return advice on the queries that took most: what to cache, to memoise, and to leave.

    The window begins with the first hour that has statistics.
    """
    settings, begin = queries.current(), since(hours)
    rows = Statistic.objects.filter(hour__gte=begin)
    first = rows.aggregate(first=Min("hour"))["first"]
    if first is None:
        return []
    window = max(60.0, (timezone.now() - first) / timedelta(seconds=1))
    all_seconds = rows.aggregate(seconds=Sum("seconds"))["seconds"] or 0.0
    writes = {
        one["table"]: one["sum_calls"] / window
        for one in TableWrites.objects.filter(hour__gte=begin)
        .values("table")
        .annotate(sum_calls=Sum("calls"))
    }
    costs = {one.fingerprint: one for one in top_queries(hours, most)}
    observed = [
        Observed(
            statement.fingerprint,
            calls=cost.calls,
            distinct=cost.distinct,
            seconds=cost.seconds,
            result_bytes=_bytes(cost),
            writes_per_second=sum(writes.get(table, 0.0) for table in statement.tables),
            repeats=cost.repeats,
            locking=statement.locking,
            volatile=statement.volatile,
            after_own_write=statement.after_own_write,
        )
        for statement in Statement.objects.filter(fingerprint__in=list(costs), verb="SELECT")
        if (cost := costs[statement.fingerprint]).calls
    ]
    limits = Limits(
        least_hit_ratio=settings.cache_least_hit_percent / 100,
        longest_ttl_seconds=settings.cache_longest_ttl_seconds,
    )
    return [
        CacheAdvice(one, costs[one.fingerprint])
        for one in advise(observed, window, all_seconds, limits)
    ]


def _bytes(cost: Cost) -> float:
    return cost.rows / cost.calls * _ROW_BYTES if cost.rows else _UNKNOWN_BYTES


def index_advice(most: int = 100) -> list[IndexAdvice]:
    """Return the advice on indexes: what is open first, then by the time that the query takes."""
    is_settled = Case(When(state=State.OPEN, then=0), default=1)
    return list(IndexAdvice.objects.order_by(is_settled, "-seconds_per_day", "pk")[:most])

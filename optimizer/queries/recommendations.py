"""What a review recommends of queries, and what it compares with the one before."""

from datetime import datetime

from django.db.models import Sum

from optimizer.control.recommendations import Measure, Place, Recommendation
from optimizer.control.units import format_duration
from optimizer.queries.engine.cache_advice import Verdict
from optimizer.queries.models import Finding, IndexAdvice, Statement, Statistic
from optimizer.queries.models.findings import State
from optimizer.queries.selectors.activity import worst_findings
from optimizer.queries.selectors.recommendations import cache_advice

_MOST_FINDINGS, _MOST_INDEXES, _MOST_CACHES, _MOST_MEASURED = 5, 5, 3, 30
_LEAST_CALLS = 50  # with fewer a mean says little
_LEAST_LOST_SECONDS = 1.0  # by all hits together; the findings themselves show the rest
_ADVICE = Place("admin:queries_recommendations")


def recommend() -> list[Recommendation]:
    """Return the findings that lose most, the open advice on indexes, and what is worth a cache."""
    return [*_findings(), *_indexes(), *_caches()]


def _findings() -> list[Recommendation]:
    return [
        Recommendation(
            f"finding:{one.digest}",
            f"{one.get_kind_display()} at {one.location}",
            f"{format_duration(one.lost_seconds)} lost; seen {one.hits:,} "
            f"time{'' if one.hits == 1 else 's'}, with up to {one.count:,} queries each.",
            Place("admin:queries_finding_change", (one.pk,)),
        )
        for one in worst_findings(_MOST_FINDINGS)
        if one.kind != Finding.Kind.REVIEW and one.lost_seconds >= _LEAST_LOST_SECONDS
    ]


def _indexes() -> list[Recommendation]:
    rows = IndexAdvice.objects.filter(state=State.OPEN).order_by("-seconds_per_day", "pk")
    return [
        Recommendation(
            f"index:{one.digest}",
            f"Make an index on {one}",
            f"{one.reason} The query takes {format_duration(one.seconds_per_day)} a day.",
            _ADVICE,
        )
        for one in rows[:_MOST_INDEXES]
    ]


def _caches() -> list[Recommendation]:
    worth = [one for one in cache_advice() if one.advice.verdict is Verdict.CACHE]
    worth.sort(key=lambda one: -one.advice.gain_ms_per_second)
    return [
        Recommendation(
            f"cache:{one.advice.fingerprint}",
            f"Cache the query at {one.cost.location} for {format_duration(one.advice.ttl_seconds)}",
            f"{100 * one.advice.hit_ratio:.0f} % of its reads would hit, which saves "
            f"{one.advice.gain_ms_per_second:.2g} ms of each second. {one.cost.text[:120]}",
            _ADVICE,
        )
        for one in worth[:_MOST_CACHES]
    ]


def measure(begin: datetime, end: datetime) -> list[Measure]:
    """Return the mean times of the queries that took most, over hours that are still kept."""
    sums = list(
        Statistic.objects.filter(hour__gte=begin, hour__lt=end)
        .exclude(fingerprint="")
        .values("fingerprint")
        .annotate(sum_calls=Sum("calls"), sum_seconds=Sum("seconds"))
        .filter(sum_calls__gte=_LEAST_CALLS)
        .order_by("-sum_seconds", "fingerprint")[:_MOST_MEASURED]
    )
    texts = dict(
        Statement.objects.filter(fingerprint__in=[one["fingerprint"] for one in sums])
        .values_list("fingerprint", "text")
    )  # fmt: skip
    return [
        Measure(
            f"query:{one['fingerprint']}",
            texts.get(one["fingerprint"], one["fingerprint"])[:160],
            "seconds",
            one["sum_seconds"] / one["sum_calls"],
            "less",
            one["sum_calls"],
            Place("admin:queries_query", (one["fingerprint"],)),
        )
        for one in sums
    ]

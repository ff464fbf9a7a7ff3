"""History for reviews to look back on."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from optimizer.control import registry
from optimizer.control.recommendations import Place, Recommendation
from optimizer.operations.models import Sample

NOW = datetime(2026, 11, 30, 6, 5, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def keep(figure: str, values: Sequence[float], end: datetime = NOW) -> None:
    """Keep an hour each, the last one just before the hour of `end`."""
    last = end.replace(minute=0, second=0, microsecond=0)
    Sample.objects.bulk_create(
        Sample(
            span_seconds=Sample.Span.HOUR, figure=figure, at=last - back * HOUR,
            value=value, least=value, most=value, count=60,
        )
        for back, value in enumerate(reversed(values), 1)
    )  # fmt: skip


def two_weeks(figure: str, before: float, after: float) -> None:
    """Keep two weeks of which each hour lies a little beside its week's value."""
    keep(figure, [at * (1 + (n % 5) / 50) for at in (before, after) for n in range(168)])


def recommend(monkeypatch, component: str, *told: Recommendation) -> None:
    """Have a component recommend this alone."""
    import dataclasses

    one = dataclasses.replace(registry.get(component), recommend=lambda: list(told))
    monkeypatch.setitem(registry._components, component, one)


def advice(id: str = "one", **changed) -> Recommendation:
    given = {"title": f"Do {id}", "reason": "It helps.", "place": Place("admin:caching_live")}
    return Recommendation(id, **{**given, **changed})

"""Figures over time, in slots that suit a chart."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import F, Func, Max, Min, Sum
from django.utils import timezone

from optimizer.operations.models import Sample

LATE_SECONDS = 15  # until a minute's sample is there


@dataclass(frozen=True, slots=True)
class Range:
    """A length of time: which samples it is drawn from, in slots of so many seconds."""

    title: str
    span_seconds: int
    slot_seconds: int
    slots: int
    time_format: str


RANGES = {
    "hour": Range("1 h", Sample.Span.MINUTE, 60, 60, "H:i"),
    "days": Range("48 h", Sample.Span.MINUTE, 720, 240, "j M H:i"),
    "months": Range("90 d", Sample.Span.HOUR, 6 * 3600, 360, "j M"),
}


class _Slot(Func):
    """The number of the slot that a time lies in: the database sums up, not we."""

    output_field = models.BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / %(seconds)s"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / %(seconds)s)::bigint"
        return self.as_sql(compiler, connection, template=template, **extra)


@dataclass(frozen=True, slots=True)
class Track:
    """A figure by slot: the mean, the least and the most; None where nothing is known."""

    values: list[float | None]
    least: list[float | None]
    most: list[float | None]


def history(
    chosen: Range, figures: Iterable[str], now: datetime | None = None
) -> tuple[list[int], dict[str, Track]]:
    """Return the starts of the slots (seconds since the epoch), and each figure's track."""
    last = int(((now or timezone.now()) - timedelta(seconds=LATE_SECONDS)).timestamp())
    end = last // chosen.slot_seconds
    first = end - chosen.slots + 1
    times = [slot * chosen.slot_seconds for slot in range(first, end + 1)]
    gaps: list[float | None] = [None] * chosen.slots
    tracks = {name: Track(list(gaps), list(gaps), list(gaps)) for name in figures}
    rows = (
        Sample.objects.filter(
            span_seconds=chosen.span_seconds,
            at__gte=datetime.fromtimestamp(times[0], UTC),
            at__lt=datetime.fromtimestamp(times[-1] + chosen.slot_seconds, UTC),
            figure__in=tracks,
        )
        .annotate(slot=_Slot("at", seconds=chosen.slot_seconds))
        .values("figure", "slot")
        .annotate(
            mean=Sum(F("value") * F("count"), output_field=models.FloatField()) / Sum("count"),
            lowest=Min("least"),
            highest=Max("most"),
        )
        .values_list("figure", "slot", "mean", "lowest", "highest")
    )
    for figure, slot, value, least, most in rows:
        track, at = tracks[figure], slot - first
        track.values[at], track.least[at], track.most[at] = value, least, most
    return times, tracks


def latest() -> datetime | None:
    """Return the newest minute that is kept."""
    rows = Sample.objects.filter(span_seconds=Sample.Span.MINUTE).order_by("-at")
    return rows.values_list("at", flat=True).first()

"""Keep every component's figures: each minute, by the hour, and no longer than an admin wants.

It does no harm done twice: a figure has one row a minute, whoever was first.
"""

import logging
import math
from datetime import datetime, timedelta

from django.db import DatabaseError, models, transaction
from django.db.models import Avg, Count, Max, Min
from django.utils import timezone

from optimizer.control import registry
from optimizer.control.redis import RedisAway
from optimizer.operations.live import operations
from optimizer.operations.models import Sample

logger = logging.getLogger(__name__)

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CHUNK_ROWS = 2000
MOST_CHUNKS = 50  # at a time, so that a first deletion does not keep a worker
_MOST_HOURS = 48  # to be rolled up at a time


def minute_of(moment: datetime) -> datetime:
    """Return when a moment's minute began."""
    return moment.replace(second=0, microsecond=0)


def read_figures() -> dict[str, float]:
    """Return what every component can tell now, by full name; what fails is a gap."""
    found: dict[str, float] = {}
    for component in registry.components():
        if component.figures is None:
            continue
        declared = {one.name for one in component.figures.declared}
        try:
            told = component.figures.read()
        except (DatabaseError, RedisAway) as error:
            logger.warning("The figures of %s cannot be read: %s", component.name, error)
            continue
        except Exception:  # a component's bug must not take the others' figures away
            logger.exception("The figures of %s cannot be read", component.name)
            continue
        found |= {
            f"{component.name}.{name}": float(value)
            for name, value in told.items()
            if name in declared and math.isfinite(value)
        }
    return found


def take(now: datetime | None = None) -> tuple[datetime, dict[str, float]]:
    """Keep the figures of this minute; return the minute and what is kept of it.

    Another process may have kept them first, and its values count then.
    """
    minute = minute_of(now or timezone.now())
    rows = [
        Sample(
            span_seconds=Sample.Span.MINUTE,
            figure=figure, at=minute, value=value, least=value, most=value,
        )
        for figure, value in read_figures().items()
    ]  # fmt: skip
    Sample.objects.bulk_create(rows, ignore_conflicts=True)
    kept = Sample.objects.filter(span_seconds=Sample.Span.MINUTE, at=minute)
    return minute, dict(kept.values_list("figure", "value"))


def roll_up(now: datetime | None = None) -> int:
    """Sum up the minutes of hours that are over; return how many hours."""
    this_hour = (now or timezone.now()).replace(minute=0, second=0, microsecond=0)
    minutes = Sample.objects.filter(span_seconds=Sample.Span.MINUTE, at__lt=this_hour)
    last = Sample.objects.filter(span_seconds=Sample.Span.HOUR).aggregate(at=Max("at"))["at"]
    # The last one again: a minute of it may have come late.
    first = last or minutes.aggregate(at=Min("at"))["at"]
    if first is None:
        return 0
    begin = first.replace(minute=0, second=0, microsecond=0)
    hour, done = max(begin, this_hour - _MOST_HOURS * HOUR), 0
    while hour < this_hour:
        done += bool(_roll_up(hour, minutes.filter(at__gte=hour, at__lt=hour + HOUR)))
        hour += HOUR
    return done


def _roll_up(hour: datetime, minutes: "models.QuerySet[Sample]") -> int:
    summed = minutes.values("figure").annotate(
        mean=Avg("value"), lowest=Min("least"), highest=Max("most"), told=Count("pk")
    )
    rows = [
        Sample(
            span_seconds=Sample.Span.HOUR,
            figure=one["figure"],
            at=hour,
            value=one["mean"],
            least=one["lowest"],
            most=one["highest"],
            count=one["told"],
        )
        for one in summed.order_by("figure")  # so that two at once lock rows in the same order
    ]
    if rows:
        Sample.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["span_seconds", "at", "figure"],
            update_fields=["value", "least", "most", "count"],
        )
    return len(rows)


def forget(now: datetime | None = None) -> int:
    """Delete minutes and hours that are too old, in chunks; return how many rows."""
    now, settings = now or timezone.now(), operations.current()
    ends = {
        Sample.Span.MINUTE: now - timedelta(hours=settings.keep_minutes_hours),
        Sample.Span.HOUR: now - timedelta(days=settings.keep_hours_days),
    }
    return sum(
        delete_in_chunks(Sample.objects.filter(span_seconds=span, at__lt=end).order_by("at"))
        for span, end in ends.items()
    )


def delete_in_chunks(rows: "models.QuerySet[models.Model]") -> int:
    """Delete rows a chunk a transaction, so that nobody waits long; return how many went."""
    gone = 0
    for _ in range(MOST_CHUNKS):
        with transaction.atomic():
            keys = list(rows.values_list("pk", flat=True)[:CHUNK_ROWS])
            if keys:
                gone += rows.model._base_manager.filter(pk__in=keys).delete()[0]
        if len(keys) < CHUNK_ROWS:
            break
    return gone

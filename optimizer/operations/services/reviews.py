"""Make performance reviews: when they are due, and when somebody asks for one."""

from datetime import datetime, timedelta
from functools import partial

import msgspec
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from optimizer.operations.engine.review_times import SPANS, last_due, next_due
from optimizer.operations.live import operations
from optimizer.operations.models import Notice, PerformanceReview, Sample
from optimizer.operations.services import review_content, review_parts
from optimizer.operations.services.review_content import Advice, Review
from optimizer.operations.services.samples import delete_in_chunks, roll_up

_HAND_SPAN = SPANS["weekly"]  # of reviews that are only made by hand


def make_if_due(now: datetime | None = None) -> PerformanceReview | None:
    """Make the review that is due, and have it mailed; None where none is, or another made it.

    One that nobody made in time is made as soon as somebody can, up to the present. Before the
    history begins there is nothing to review.
    """
    now, settings = now or timezone.now(), operations.current()
    due = last_due(settings.review_every, settings.review_weekday, settings.review_hour, now)
    if due is None or PerformanceReview.objects.filter(due_at__gte=due).exists():
        return None
    if not Sample.objects.filter(at__lt=due).exists():
        return None
    row = _row(gather(now), due_at=due, asked_by="schedule")
    notice = partial(Notice, review=row, kind=Notice.Kind.REVIEW, channel=Notice.Channel.EMAIL)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            Notice.objects.bulk_create(notice(target=one) for one in settings.review_emails)
    except IntegrityError:  # another worker found it due, too, and was first
        return None
    return row


def make(asked_by: str, now: datetime | None = None) -> PerformanceReview:
    """Make a review of the time up to now; nobody is mailed."""
    row = _row(gather(now or timezone.now()), due_at=None, asked_by=asked_by)
    row.save()
    return row


def _row(review: Review, *, due_at: datetime | None, asked_by: str) -> PerformanceReview:
    return PerformanceReview(
        begin=review.begin,
        end=review.end,
        due_at=due_at,
        asked_by=asked_by[:150],
        worse=len(review.worse),
        better=len(review.better),
        recommended=len(review.to_do),
        content=review_content.plain(review),
    )


def gather(now: datetime) -> Review:
    """Return a review of as long a time as lies between two, up to now."""
    settings, missing = operations.current(), set[str]()
    begin = now - SPANS.get(settings.review_every, _HAND_SPAN)
    least_percent = settings.review_regression_percent
    roll_up(now)
    last = last_before(now)
    compared = _compared_with(begin)
    changes, measured = review_parts.measures(
        begin, now, compared.measured if compared else {}, least_percent, missing
    )
    told = review_parts.recommendations(missing)
    edits, edit_count = review_parts.edits(begin, now)
    return Review(
        begin=begin,
        end=now,
        figures=review_parts.figures(begin, now, least_percent),
        measures=changes,
        endpoints=review_parts.endpoints(begin, now, least_percent),
        advice=_advice(told, last, now),
        settled=_settled(told, last),
        edits=edits,
        edit_count=edit_count,
        alerts=review_parts.alerts(begin, now),
        missing=sorted(missing),
        measured=measured,
    )


def last_before(now: datetime) -> Review | None:
    """Return the newest review up to a time; None where there is none that can be read."""
    return _first(PerformanceReview.objects.filter(end__lte=now))


def _compared_with(begin: datetime) -> Review | None:
    """Return the review whose measures the new one is compared with.

    That is the newest one whose time does not overlap; where none is so old the oldest of those
    that there are, rather than nothing.
    """
    slack = timedelta(hours=1)  # one is made a little later than the one before
    apart = PerformanceReview.objects.filter(end__lte=begin + slack)
    return _first(apart) or _first(PerformanceReview.objects.order_by("end", "pk"))


def _first(rows: "models.QuerySet[PerformanceReview]") -> Review | None:
    row = rows.first()
    try:
        return review_content.read(row.content) if row is not None else None
    except msgspec.ValidationError:  # of another version
        return None


def _advice(told: review_parts.Told, last: Review | None, now: datetime) -> list[Advice]:
    known = {(one.component, one.of.id): one.since for one in (last.advice if last else ())}
    return [
        Advice(component, one, known.get((component, one.id), now))
        for component, found in told.items()
        for one in found
    ]


def _settled(told: review_parts.Told, last: Review | None) -> list[tuple[str, str]]:
    """Return what the last review asked for and is no longer there, of components that told."""
    there = {component: {one.id for one in found} for component, found in told.items()}
    return [
        (one.component, one.of.title)
        for one in (last.to_do if last else ())
        if one.component in there and one.of.id not in there[one.component]
    ]


def next_time(now: datetime | None = None) -> datetime | None:
    """Return when the next review is due; None for never."""
    settings = operations.current()
    return next_due(
        settings.review_every, settings.review_weekday, settings.review_hour, now or timezone.now()
    )


def forget() -> int:
    """Delete reviews that are older than an admin wants them kept; return how many rows."""
    end = timezone.now() - timedelta(days=operations.current().keep_reviews_days)
    return delete_in_chunks(PerformanceReview.objects.filter(end__lt=end))

"""Performance reviews: the newest one or an earlier one, and a button that makes one now."""

from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from optimizer.control import registry
from optimizer.control.revisions import settings_models
from optimizer.control.trends import Trend
from optimizer.operations.live import operations
from optimizer.operations.models import PerformanceReview, Sample
from optimizer.operations.pages.words import SEVERITY_COLOURS
from optimizer.operations.selectors.alerts import outcome_of
from optimizer.operations.selectors.history import LATE_SECONDS, Range, history
from optimizer.operations.services import review_content, review_words, reviews

Base = dict[str, Any]

_MOST_LISTED, _MOST_TRENDS, _SLOTS = 12, 6, 120


def show(request: HttpRequest, base: Base, number: int | None = None) -> HttpResponse:
    """Show a review, the newest one without a number; a POST makes one now."""
    if request.method == "POST":
        if not base["may_change"]:
            raise PermissionDenied
        made = reviews.make(request.user.get_username())
        messages.success(request, "Reviewed up to now.")
        return redirect("admin:operations_review", made.pk)
    rows = PerformanceReview.objects.prefetch_related("notices")
    row = rows.first() if number is None else rows.filter(pk=number).first()
    if number is not None and row is None:
        raise Http404("There is no such review.")
    context = {
        **base,
        "title": "Performance review",
        "row": row,
        "next_at": reviews.next_time(),
        "mailed_to": operations.current().review_emails,
        "no_mail": not settings.EMAIL_URL,
        "earlier": _listed(row),
    }
    if row is None:
        return TemplateResponse(request, "tuneup/operations_reviews.html", context)
    try:
        review = review_content.read(row.content)
    except msgspec.ValidationError:
        messages.error(request, "This review is of another version and cannot be shown.")
        return TemplateResponse(request, "tuneup/operations_reviews.html", {**context, "row": None})
    review = _as_seen_by(request, review)
    if request.GET.get("format") == "markdown":
        return _download(row, review)
    context |= review_words.words(review) | {
        "span": review_words.span_of(review),
        "trends": _trends(review),
        "notices": [(one, outcome_of(one)) for one in row.notices.all()],
        "severities": SEVERITY_COLOURS,
        # What an earlier one advised is not to be done by a button any more.
        "may_apply": base["may_change"]
        and row.pk == PerformanceReview.objects.values_list("pk", flat=True).first(),
    }
    return TemplateResponse(request, "tuneup/operations_reviews.html", context)


def _as_seen_by(request: HttpRequest, review: review_content.Review) -> review_content.Review:
    """Return a review without what its reader may not see elsewhere either."""

    def may(component: str) -> bool:
        return any(
            request.user.has_perm(f"{one._meta.app_label}.view_{one._meta.model_name}")
            for one in settings_models(component)
        )

    may_see_edits = request.user.has_perm("control.view_revision")
    may_see_alerts = request.user.has_perm("operations.view_alertevent")
    return msgspec.structs.replace(
        review,
        measures=[one for one in review.measures if may(one.name.partition(".")[0])],
        advice=[one for one in review.advice if may(one.component)],
        settled=[one for one in review.settled if may(one[0])],
        edits=review.edits if may_see_edits else [],
        edit_count=review.edit_count if may_see_edits else 0,
        alerts=review.alerts if may_see_alerts else [],
    )


def _listed(row: PerformanceReview | None) -> list[tuple[PerformanceReview, bool]]:
    listed: QuerySet[PerformanceReview] = PerformanceReview.objects.defer("content")
    return [(one, one == row) for one in listed[:_MOST_LISTED]]


def _download(row: PerformanceReview, review: review_content.Review) -> HttpResponse:
    response = HttpResponse(review_words.as_markdown(review), "text/markdown; charset=utf-8")
    name = f"performance-review-{row.end:%Y-%m-%d}.md"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _trends(review: review_content.Review) -> list[tuple[Trend, str]]:
    """Return the figures that moved, over the time of the review and as long before."""
    moved = [one for one in review.figures if one.verdict in ("worse", "better")]
    moved.sort(key=lambda one: (one.verdict != "worse", -abs(one.percent or 1e9)))
    known = registry.figures()
    shown = [one for one in moved if one.name in known][:_MOST_TRENDS]
    seconds = 2 * (review.end - review.begin).total_seconds()
    slot = max(3600, int(seconds / _SLOTS) // 3600 * 3600)
    span = Range("", Sample.Span.HOUR, slot, int(seconds // slot), "j M H:i")
    # The hour of its end is not over yet.
    end = review.end.replace(minute=0, second=0, microsecond=0) - timedelta(seconds=1)
    times, tracks = history(
        span, [one.name for one in shown], end + timedelta(seconds=LATE_SECONDS)
    )
    return [
        (
            Trend(
                one.title, one.unit, times, tracks[one.name].values, tracks[one.name].least,
                tracks[one.name].most, (), span.time_format,
            ),
            one.verdict,
        )
        for one in shown
    ]  # fmt: skip

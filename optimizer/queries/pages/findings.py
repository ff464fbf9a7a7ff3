"""A finding: what it is, how to mend it, and what people have made of it."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from optimizer.queries import selectors
from optimizer.queries.live import queries
from optimizer.queries.models import Finding
from optimizer.queries.models.findings import State
from optimizer.queries.pages.words import (
    COLOURS,
    PLACELESS,
    STATE_COLOURS,
    fix_of,
    hours_chart,
    ignore_url,
    readable,
    sentence,
)

BUTTONS = {
    State.OPEN: "Open again",
    State.IGNORED: "Ignore",
    State.FIXED: "Mark as fixed",
}
_SHOWN_CHARACTERS = 20_000
_MOST_RECORDS = 5
Base = dict[str, Any]


def finding(request: HttpRequest, base: Base, row: Finding) -> HttpResponse:
    """Show all about one finding."""
    code, line = fix_of(row)
    # What is loaded in vain is told of the queryset's line, which need not run the query.
    place = "" if row.kind == Finding.Kind.UNUSED_EAGER_LOAD else row.location
    context = {
        **base,
        "title": f"{row.get_kind_display()} at {row.location or PLACELESS}"[:120],
        "location": row.location or PLACELESS,
        "finding": row,
        "colour": COLOURS.get(row.kind, "quiet"),
        "state_colour": STATE_COLOURS.get(row.state, "quiet"),
        "sentence": sentence(row, queries.current().slow_query_seconds),
        "sql": readable(row.sql)[:_SHOWN_CHARACTERS],
        "code": code,
        "line": line,
        "chart": hours_chart(
            selectors.hours_of(row.fingerprint, place), "Its calls here by the hour"
        ),
        "buttons": [(state.value, title) for state, title in BUTTONS.items() if state != row.state],
        "ignore_location_url": ignore_url("location", row.location) if row.location else "",
        "ignore_query_url": ignore_url("fingerprint", row.fingerprint),
        "may_ignore": request.user.has_perm("queries.add_ignorerule"),
        "records": _records(row),
    }
    return TemplateResponse(request, "tuneup/queries_finding.html", context)


def _records(row: Finding) -> list[LogEntry]:
    """Return who gave it which state, the latest first."""
    kind = ContentType.objects.get_for_model(Finding)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
    return list(entries.select_related("user").order_by("-action_time")[:_MOST_RECORDS])

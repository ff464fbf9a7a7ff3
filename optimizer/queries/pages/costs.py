"""What queries cost: the top ones, and all about one of them."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from optimizer.queries import selectors
from optimizer.queries.pages.words import (
    COLOURS,
    PERIODS,
    hours_chart,
    links,
    period_of,
    readable,
    shortened,
    spread_bars,
)

ORDERS = {
    "seconds": "total time",
    "calls": "calls",
    "max_seconds": "longest call",
    "n_plus_one": "N+1 calls",
}
MOST = 30
_SHOWN_CHARACTERS = 20_000
Base = dict[str, Any]


def top(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the queries that took most."""
    hours = period_of(request.GET.get("hours", ""))
    order = request.GET.get("order", "")
    order = order if order in ORDERS else "seconds"
    context = {
        **base,
        "title": "Top queries",
        "hours": hours,
        "period": PERIODS[hours],
        "periods": links(hours, PERIODS, "hours", {"order": order}),
        "orders": links(order, ORDERS, "order", {"hours": hours}),
        "costs": [
            {
                "of": one,
                "percent": 100 * one.share,
                "short": shortened(one.text) or one.fingerprint,
            }
            for one in selectors.top_queries(hours, MOST, order=order)
        ],
    }
    return TemplateResponse(request, "tuneup/queries_top.html", context)


def query(request: HttpRequest, base: Base, fingerprint: str) -> HttpResponse:
    """Show all about one query."""
    hours = period_of(request.GET.get("hours", ""))
    details = selectors.details_of(fingerprint, hours) if len(fingerprint) <= 16 else None
    if details is None:
        raise Http404("There is no such query.")
    context = {
        **base,
        "title": f"Query {fingerprint}",
        "details": details,
        "cost": details.total,
        "sql": readable(details.total.text)[:_SHOWN_CHARACTERS],
        "hours": hours,
        "period": PERIODS[hours],
        "periods": links(hours, PERIODS, "hours", {}),
        "chart": hours_chart(
            selectors.hours_of(fingerprint, hours=max(hours, 24)), "Calls by the hour"
        ),
        "bars": spread_bars(details.spread),
        "places": [{"of": one, "percent": 100 * one.share} for one in details.places],
        "findings": [
            {"of": one, "colour": COLOURS.get(one.kind, "quiet")} for one in details.findings
        ],
    }
    return TemplateResponse(request, "tuneup/queries_query.html", context)

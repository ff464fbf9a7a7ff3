"""What the optimizer does now: what it watches and finds, at what cost, and who reads it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.control.charts import Chart, Line
from optimizer.control.redis import RedisAway
from optimizer.control.series import SLOT_SECONDS
from optimizer.queries import selectors
from optimizer.queries.live import queries
from optimizer.queries.models import Finding
from optimizer.queries.pages.words import COLOURS

LATE_SECONDS = 60  # that the oldest interval has waited to be read
Base = dict[str, Any]


def live(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    context = {
        **base,
        "title": "Queries live",
        "fragment_url": reverse("admin:queries_live_fragment"),
        **_overview(),
    }
    return TemplateResponse(request, "tuneup/queries_live.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/queries_now.html", {**base, **_overview()})


def _overview() -> dict[str, Any]:
    settings = queries.current()
    kinds, worst = selectors.open_by_kind(), selectors.worst_findings()
    most = max((one.lost_seconds for one in worst), default=0.0) or 1.0
    found: dict[str, Any] = {
        "settings": settings,
        "kinds": [{"of": one, "colour": COLOURS[one.kind]} for one in kinds],
        "open_count": sum(one.count for one in kinds),
        "lost_seconds": sum(one.lost_seconds for one in kinds),
        "worst": [
            {
                "of": one,
                "percent": round(100 * one.lost_seconds / most),
                "colour": COLOURS.get(one.kind, "plain"),
            }
            for one in worst
        ],
    }
    try:
        return found | _counted(settings.overhead_percent)
    except RedisAway:
        return found | {"redis_away": True}


def _counted(budget_percent: float) -> dict[str, Any]:
    now, reader = selectors.activity(), selectors.reader()
    own_percent = 100 * now.own_ratio
    return {
        "queries_chart": Chart(
            "Queries in the last hour",
            "per second",
            now.times,
            [Line("queries", "plain", [count / SLOT_SECONDS for count in now.of("queries")])],
        ),
        "findings_chart": Chart(
            "Findings in the last hour",
            "per minute",
            now.times,
            [
                Line(
                    kind.label,
                    COLOURS[kind.value],
                    [60 * count / SLOT_SECONDS for count in now.of(kind.value)],
                )
                for kind in Finding.Kind
                if now.totals[kind.value]
            ],
        ),
        "totals": now.totals,
        "units": now.totals["watched"] + now.totals["skipped"],
        "watched_percent": 100 * now.watched_ratio,
        "own_percent": own_percent,
        "budget_percent": budget_percent,
        "spent_percent": min(100.0, 100 * own_percent / budget_percent),
        "is_over_budget": own_percent > budget_percent,
        "reader": reader,
        "reads_late": reader.oldest_seconds > LATE_SECONDS,
    }

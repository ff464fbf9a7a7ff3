"""What to cache, what to keep within a unit, and which indexes to make."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from optimizer.queries import selectors
from optimizer.queries.engine.cache_advice import Verdict
from optimizer.queries.live import queries
from optimizer.queries.models import IndexAdvice
from optimizer.queries.models.findings import State
from optimizer.queries.pages.words import PERIODS, links, period_of, shortened
from optimizer.queries.services import states

_MOST_LEFT = 20
Base = dict[str, Any]


def recommendations(request: HttpRequest, base: Base) -> HttpResponse:
    """Show all that is recommended, and why the rest is not."""
    hours = period_of(request.GET.get("hours", ""))
    by_verdict: dict[Verdict, list[Any]] = {verdict: [] for verdict in Verdict}
    for one in selectors.cache_advice(hours):
        by_verdict[one.advice.verdict].append(
            {
                "of": one,
                "hit_percent": 100 * one.advice.hit_ratio,
                "short": shortened(one.cost.text) or one.cost.fingerprint,
            }
        )
    advice = selectors.index_advice()
    context = {
        **base,
        "title": "Recommendations",
        "settings": queries.current(),
        "hours": hours,
        "period": PERIODS[hours],
        "periods": links(hours, PERIODS, "hours", {}),
        "to_cache": by_verdict[Verdict.CACHE],
        "to_memoise": by_verdict[Verdict.MEMOISE],
        "to_leave": by_verdict[Verdict.LEAVE][:_MOST_LEFT],
        "left_out": max(0, len(by_verdict[Verdict.LEAVE]) - _MOST_LEFT),
        "indexes": [_shown(one) for one in advice if one.state == State.OPEN],
        "settled": [one for one in advice if one.state != State.OPEN],
        "may_decide": request.user.has_perm("queries.change_indexadvice"),
    }
    return TemplateResponse(request, "tuneup/queries_recommendations.html", context)


def decide(request: HttpRequest, base: Base, number: int) -> HttpResponse:
    """Set what people have made of advice on an index, and show the rest again."""
    if not request.user.has_perm("queries.change_indexadvice"):
        raise PermissionDenied
    row = get_object_or_404(IndexAdvice, pk=number)
    chosen = request.POST.get("state", "")
    if request.method == "POST" and chosen in State.values:
        states.set_state(IndexAdvice.objects.filter(pk=row.pk), chosen)
        messages.success(request, f"{row}: {State(chosen).label.lower()}.")
    return redirect("admin:queries_recommendations")


def _shown(row: IndexAdvice) -> dict[str, Any]:
    before, after = row.cost_before, row.cost_after
    falls = before is not None and after is not None and before > 0
    return {
        "of": row,
        "times": before / after if falls and after else 0.0,  # type: ignore[operator]
        "left_percent": min(100.0, 100 * after / before) if falls else 0.0,  # type: ignore[operator]
        "falls": falls,
    }

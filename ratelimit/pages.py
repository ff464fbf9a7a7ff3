"""The live page: what is allowed and refused now, who asks most, and any subject's buckets."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from optimizer.control.charts import Chart, Line
from optimizer.control.redis import RedisAway
from optimizer.control.series import SLOT_SECONDS
from ratelimit import selectors
from ratelimit.engine import BadArgument
from ratelimit.services import limiter

KINDS = {"allowed": "ok", "shadow": "wait", "denied": "bad"}
_CHOSEN = ("tier", "scope", "subject", "in")


def live_page(request: HttpRequest, base: dict[str, Any]) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    context = {
        **base,
        "title": "Rate limiter live",
        "fragment_url": f"{reverse('admin:ratelimit_live_fragment')}?{_chosen(request)}",
        "bucket_scope": request.GET.get("in", ""),
        **overview(request),
    }
    return TemplateResponse(request, "tuneup/ratelimit_live.html", context)


def fragment(request: HttpRequest, base: dict[str, Any]) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/ratelimit_now.html", {**base, **overview(request)})


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return the numbers, the chart, the consumers and the buckets asked for."""
    tier, scope = request.GET.get("tier", ""), request.GET.get("scope", "")
    found: dict[str, Any] = {"tier": tier, "scope": scope, "query": _chosen(request)}
    try:
        slots, counts = selectors.rates()
        found |= _numbers(slots, counts, tier, scope)
        found |= {"top": _bars(selectors.top(10))}
    except RedisAway:
        found["redis_away"] = True
    found["status"] = selectors.status()
    subject = request.GET.get("subject", "").strip()
    if subject and not found.get("redis_away"):
        try:
            bucket_scope = request.GET.get("in", "").strip()
            found["buckets"] = selectors.buckets(subject, bucket_scope)
        except (BadArgument, RedisAway) as error:
            found["bucket_error"] = str(error)
    return found | {"subject": subject}


def _numbers(
    slots: list[int], counts: dict[tuple[str, str, str], list[int]], tier: str, scope: str
) -> dict[str, Any]:
    zero = [0] * len(slots)
    sums = {outcome: list(zero) for outcome in KINDS}
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for (outcome, of_tier, of_scope), values in counts.items():
        row = rows.setdefault((of_tier, of_scope), dict.fromkeys(KINDS, 0))
        row[outcome] += sum(values)
        if tier in ("", of_tier) and (not scope or scope == (of_scope or "-")):
            sums[outcome] = [a + b for a, b in zip(sums[outcome], values, strict=True)]
    lines = [
        Line(outcome, kind, [value / SLOT_SECONDS for value in sums[outcome]])
        for outcome, kind in KINDS.items()
    ]
    table = [
        {
            "tier": of_tier,
            "scope": of_scope,
            "scope_choice": of_scope or "-",
            **row,
            "total": sum(row.values()),
            "denied_percent": 100 * row["denied"] / max(1, sum(row.values())),
        }
        for (of_tier, of_scope), row in sorted(rows.items())
    ]
    return {
        "chart": Chart("Decisions in the last hour", "per second", slots, lines),
        "now": [(line.name, line.kind, line.last) for line in lines],
        "rows": table,
    }


def _bars(consumers: list[tuple[str, int]]) -> list[dict[str, Any]]:
    most = max((calls for _, calls in consumers), default=1)
    return [
        {
            "subject": name,
            "calls": calls,
            "percent": round(100 * calls / most),
            "query": urlencode({"subject": name}),
        }
        for name, calls in consumers
    ]


def act(request: HttpRequest, base: dict[str, Any]) -> HttpResponseRedirect:
    """Reset or grant, then show the subject again. Raises PermissionDenied on another method."""
    if request.method != "POST":
        raise PermissionDenied
    subject, scope = request.POST.get("subject", ""), request.POST.get("scope", "")
    try:
        if "grant" in request.POST:
            tokens = request.POST.get("tokens", "")
            if not tokens.isdecimal() or len(tokens) > 7:
                raise BadArgument("tokens", "must be between 1 and 1000000")
            left = limiter.grant(subject, int(tokens), scope)
            messages.success(request, f"{subject} has {left} tokens now.")
        else:
            limiter.reset(subject, scope)
            messages.success(request, f"The bucket of {subject} is full again.")
    except BadArgument as error:
        messages.error(request, f"{error}.")
    except RedisAway:
        messages.error(request, "Redis is away, and nothing was changed.")
    query = urlencode({"subject": subject, "in": scope})
    return redirect(f"{reverse('admin:ratelimit_live')}?{query}")


def _chosen(request: HttpRequest) -> str:
    return urlencode({name: request.GET[name] for name in _CHOSEN if request.GET.get(name)})

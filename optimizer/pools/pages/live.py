"""What all pools do now."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.pools.live import pools
from optimizer.pools.pages import words
from optimizer.pools.selectors import Pool, every
from optimizer.pools.services import leaks

Base = dict[str, Any]
_LEAKS_SHOWN = 5


def live(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    context = {
        **base,
        "title": "Connection pools live",
        "fragment_url": reverse("admin:pools_live_fragment"),
        **_overview(),
    }
    return TemplateResponse(request, "tuneup/pools_live.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/pools_now.html", {**base, **_overview()})


def _overview() -> dict[str, Any]:
    found, away = every(ask_servers=True)
    totals = [one.totals for one in found]
    acquired, created = sum(t.acquired for t in totals), sum(t.created for t in totals)
    warn = pools.current().warn_percent
    return {
        "redis_away": away,
        "size": sum(one.gauges.size for one in found),
        "in_use": sum(one.gauges.in_use for one in found),
        "waiting": sum(one.gauges.waiting for one in found),
        "acquired": acquired,
        "created": created,
        "reuse_percent": 100 * max(0.0, 1 - created / acquired) if acquired else 0.0,
        "saved_seconds": sum(t.saved_seconds for t in totals),
        "crowded": [one for one in found if (one.server_percent or 0) > warn],
        "pools": [_pool(one) for one in found],
        "leaks": leaks.last()[:_LEAKS_SHOWN],
    }


def _pool(pool: Pool) -> dict[str, Any]:
    state, colour, because = words.state_of(pool)
    gauges, recent = pool.gauges, pool.recent
    return {
        "of": pool,
        "kind": words.KINDS[pool.kind],
        "url": reverse("admin:pools_pooledconnection_status", args=(pool.alias,)),
        "state": state,
        "colour": colour,
        "because": because,
        "in_use_percent": words.percent(gauges.in_use, pool.most),
        "idle_percent": words.percent(gauges.idle, pool.most),
        "wait_p99": recent.wait_percentile(0.99),
    }

"""A pool's page: how it stands, what it did, how large it should be, who leaks."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.control.redis import RedisAway
from optimizer.pools.engine.advice import Advice
from optimizer.pools.models.pool import is_pooled
from optimizer.pools.pages import words
from optimizer.pools.selectors import Pool, find
from optimizer.pools.selectors.activity import last_hour
from optimizer.pools.selectors.advice import advice_of
from optimizer.pools.services import leaks, operating

Base = dict[str, Any]
_SUSPEND_SECONDS = 30.0
_LEAKS_SHOWN = 10


def status(request: HttpRequest, base: Base, alias: str) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    pool = _find(alias)
    context = {
        **base,
        "title": f"Pool {alias}",
        "fragment_url": reverse("admin:pools_pooledconnection_fragment", args=(alias,)),
        "suspend_seconds": _SUSPEND_SECONDS,
        "is_pooled": is_pooled(pool.alias, pool.kind),
        **_now(pool),
    }
    return TemplateResponse(request, "tuneup/pools_pool.html", context)


def fragment(request: HttpRequest, base: Base, alias: str) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/pools_pool_now.html", {**base, **_now(_find(alias))})


def _find(alias: str) -> Pool:
    pool = find(alias)
    if pool is None:
        raise Http404("There is no such pool.")
    return pool


def _now(pool: Pool) -> dict[str, Any]:
    state, colour, because = words.state_of(pool)
    gauges, totals, recent = pool.gauges, pool.totals, pool.recent
    advice = advice_of(pool)
    context: dict[str, Any] = {
        "pool": pool,
        "kind": words.KINDS[pool.kind],
        "state": state,
        "colour": colour,
        "because": because,
        "gauges": gauges,
        "totals": totals,
        "recent": recent,
        "in_use_percent": words.percent(gauges.in_use, pool.most),
        "idle_percent": words.percent(gauges.idle, pool.most),
        "reuse_percent": 100 * totals.reuse_ratio,
        "connect_mean": totals.connect_seconds / totals.created if totals.created else 0.0,
        "advice": advice,
        "ways": _ways(pool, advice),
        "wait_p99": recent.wait_percentile(0.99),
        "timings": [
            words.timing(recent.uses, bars=words.spread(
                "How long connections are held", recent.uses, "check-outs, last minute")),
            words.timing(recent.waits, bars=words.spread(
                "How long callers waited", recent.waits, "of those who had to, last minute")),
            words.timing(totals.connects, bars=words.spread(
                "How long connecting takes", totals.connects, "connections")),
        ],
        "processes": [
            {"of": one, "percent": words.percent(one.pool.gauges.in_use, one.pool.max_size)}
            for one in pool.processes
        ],
        "leaks": leaks.last(pool.alias)[:_LEAKS_SHOWN],
    }  # fmt: skip
    if pool.server is not None and pool.server_percent is not None:
        context |= {
            "server_used_percent": words.percent(pool.server.used, pool.server.limit),
            "server_percent": pool.server_percent,
            "server_bar": min(100, pool.server_percent),
            "server_colour": words.server_colour(pool.server_percent),
        }
    try:
        hour = last_hour(pool.alias)
    except RedisAway:
        return context | {"redis_away": True}
    return context | {
        "charts": [words.connections_chart(hour), words.check_outs_chart(hour)],
    }


def _ways(pool: Pool, advice: Advice) -> list[dict[str, Any]]:
    ways = [
        ("Now", pool.limits.max_size, "the size in force", "plain"),
        ("Little's law", advice.little, f"{advice.busy:.2f} busy on average, and the spread", "ok"),
        ("HikariCP's rule", advice.hikari, "cores × 2 + 1 of the server, shared out", "teal"),
        ("Deadlock floor", advice.deadlock_floor, "fewer could block one another", "wait"),
        ("Suggested", advice.suggested, advice.because, "pink"),
    ]
    most = max(size for _, size, _, _ in ways) or 1
    return [
        {"name": name, "size": size, "why": why, "colour": colour,
         "percent": words.percent(size, most)}
        for name, size, why, colour in ways
    ]  # fmt: skip


def act(request: HttpRequest, alias: str) -> None:
    """Do what one of the buttons says, and say what came of it."""
    action = request.POST.get("action", "")
    try:
        if action == "recycle":
            operating.recycle(alias)
            says = "Every process replaces its connections: idle ones now, others as they come back"
        elif action == "suspend":
            operating.suspend(alias, _SUSPEND_SECONDS)
            says = f"No connection is handed out for {_SUSPEND_SECONDS:.0f} s; callers wait"
        elif action == "resume":
            operating.resume(alias)
            says = "Connections are handed out again"
        elif action == "apply":
            size = advice_of(_find(alias)).suggested
            operating.resize(alias, size)
            says = f"max_size is {size} now, in every process"
        else:
            return
    except operating.UnknownPool:
        messages.error(request, f"{alias} has no row yet: add one first.")
    except ValidationError as error:
        messages.error(request, f"{alias}: {' '.join(error.messages)}")
    else:
        messages.success(request, f"{alias}: {says}.")

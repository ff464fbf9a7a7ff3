"""What each group and backend does now, over all processes; and the buttons of backends."""

from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from django.conf import settings as django_settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from optimizer.balancer.engine.histogram import percentiles
from optimizer.balancer.live import balancer as live
from optimizer.balancer.models import Backend, Group, StrategyName
from optimizer.balancer.selectors.reads import Reads, reads
from optimizer.balancer.selectors.shared import BackendState, GroupState, overview
from optimizer.balancer.services import sharing
from optimizer.balancer.services.reads import replicas
from optimizer.balancer.services.reads.readers import PRIMARY
from optimizer.control.charts import Chart, Line
from optimizer.control.redis import RedisAway
from optimizer.control.revisions import change
from optimizer.control.series import SLOT_SECONDS

Base = dict[str, Any]
COLOURS = {
    "in use": "ok",
    "probed": "wait",
    "ejected": "bad",
    "unhealthy": "bad",
    "lagging": "wait",
    "draining": "quiet",
    "disabled": "quiet",
}
EVENT_WORDS = {
    "ejected": ("ejected", "bad"),
    "returned": ("takes calls again", "ok"),
    "put back": ("put back by an admin", "ok"),
    "panic": ("panic: too few are healthy, all are used", "bad"),
    "calm": ("panic is over", "ok"),
}
ACTIONS = ("put-back", "drain", "undrain", "enable", "disable")


def page(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    group = request.GET.get("group", "")
    url = f"{reverse('admin:balancer_live_fragment')}?{urlencode({'group': group})}"
    context = {**base, "title": "Load balancer live", "fragment_url": url, **_now(group)}
    return TemplateResponse(request, "tuneup/balancer_live.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    context = {**base, **_now(request.GET.get("group", ""))}
    return render(request, "tuneup/balancer_now.html", context)


def _now(name: str) -> dict[str, Any]:
    settings = live.current()
    found: dict[str, Any] = {"settings": settings, "names": list(settings.groups)}
    try:
        every = overview()
        events = sharing.events(200)
    except RedisAway:
        return found | {"redis_away": True}
    chosen = next((one for one in every if one.name == name), None) or max(
        every, key=lambda one: sum(b.picks for b in one.backends), default=None
    )
    if chosen is None:
        return found
    if chosen.name == replicas.GROUP and django_settings.DATABASE_REPLICAS:
        found["reads"] = _reads(reads())
    return (
        found
        | {"group": chosen, "panics": [one.name for one in every if one.in_panic]}
        | (
            _group(chosen)
            | {
                "events": [
                    _event(one) for one in events if one.backend.startswith(f"{chosen.name}/")
                ][:12]
            }
        )
    )


def _group(group: GroupState) -> dict[str, Any]:
    backends = group.backends
    zero = [0] * len(group.times)
    picks, failed = list(zero), list(zero)
    latencies: dict[int, int] = {}
    for one in backends:
        picks = [a + b for a, b in zip(picks, one.figures.slots, strict=True)]
        failed = [a + b for a, b in zip(failed, one.figures.failed_slots, strict=True)]
        for bucket, count in one.figures.latencies.items():
            latencies[bucket] = latencies.get(bucket, 0) + count
    good = [max(0, a - b) for a, b in zip(picks, failed, strict=True)]
    ended = sum(one.figures.ok + one.figures.failed for one in backends)
    p50, p95, p99 = percentiles(latencies, (0.5, 0.95, 0.99))
    lines = [
        Line("ok", "ok", [value / SLOT_SECONDS for value in good]),
        Line("failed", "bad", [value / SLOT_SECONDS for value in failed]),
    ]
    return {
        "pk": Group.objects.filter(name=group.name).values_list("pk", flat=True).first(),
        "strategy": StrategyName(group.settings.strategy).label,
        "rate": sum(one.calls_per_second for one in backends),
        "in_flight": sum(one.in_flight for one in backends),
        "failed_percent": 100 * sum(one.figures.failed for one in backends) / ended if ended else 0,
        "unreported": sum(one.figures.unreported for one in backends),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "used": sum(one.state in ("in use", "probed") for one in backends),
        "chart": Chart("Calls in the last hour", "per second", group.times, lines),
        "backends": [_backend(one) for one in backends],
    }


def _reads(found: Reads) -> dict[str, Any]:
    kinds = cycle(("ok", "teal", "pink", "plain"))
    lines = [
        Line(alias, "quiet" if alias == PRIMARY else next(kinds), [v / SLOT_SECONDS for v in slots])
        for alias, slots in found.slots.items()
    ]
    return {
        "of": found,
        "chart": Chart("Database reads in the last hour", "per second", found.times, lines),
        "lag": [
            (alias, seconds, "quiet" if seconds is None else "wait" if seconds > 1 else "ok")
            for alias, seconds in found.lag_seconds.items()
        ],
    }


def _backend(one: BackendState) -> dict[str, Any]:
    return {
        "of": one,
        "colour": COLOURS[one.state],
        "traffic_percent": 100 * one.traffic_share,
        "weight_percent": 100 * one.weight_share,
        "success_percent": None
        if one.figures.success_ratio is None
        else 100 * one.figures.success_ratio,
    }


def _event(one: sharing.Told) -> dict[str, Any]:
    words, colour = EVENT_WORDS.get(one.kind, (one.kind, "quiet"))
    return {
        "of": one,
        "name": one.backend.partition("/")[2],
        "words": words,
        "colour": colour,
        "at": datetime.fromtimestamp(one.at, UTC),
    }


def act(request: HttpRequest, base: Base) -> HttpResponseRedirect:
    """Do what one of a backend's buttons says, and show its group again."""
    group, name = request.POST.get("group", ""), request.POST.get("backend", "")
    action = request.POST.get("action", "")
    row = Backend.objects.filter(group__name=group, name=name).first()
    if row is None or action not in ACTIONS:
        messages.error(request, "There is no such backend, or nothing of the kind to be done.")
    elif action == "put-back":
        try:
            sharing.put_back(group, name)
            messages.success(request, f"{name} gets calls again within a second.")
        except RedisAway:
            messages.error(request, "Redis is away, and nothing was changed.")
    else:
        with change("balancer", reason=f"{action.capitalize()} {name}"):
            if action in ("drain", "undrain"):
                row.draining = action == "drain"
            else:
                row.enabled = action == "enable"
            row.save()
        done = {"drain": "takes no new calls", "disable": "takes no calls"}
        messages.success(request, f"{name} {done.get(action, 'takes calls again')}.")
    return redirect(f"{reverse('admin:balancer_live')}?{urlencode({'group': group})}")

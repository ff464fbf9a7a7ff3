"""The cache's own pages: what goes on now, what a key holds, and invalidation."""

import pprint
from collections import Counter
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from caching import selectors
from caching.decorators import tiered
from caching.engine.remote import Away
from caching.live import caching
from caching.models import Invalidation
from caching.services import entries, targets
from caching.services.budget import set_budget
from caching.services.entries import BadArgument, UnknownNamespace
from caching.services.targets import Target
from optimizer.control.charts import Chart, Line, Mark, Profile
from optimizer.control.redis import RedisAway
from optimizer.control.series import SLOT_SECONDS
from optimizer.control.units import format_amount

KINDS = {"l1_hits": "ok", "l2_hits": "plain", "stale": "wait", "misses": "bad"}
NAMES = {"l1_hits": "process", "l2_hits": "Redis", "stale": "stale", "misses": "missed"}
_SHOWN_CHARACTERS = 4000
Base = dict[str, Any]


def live(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    query = _query(request, "namespace")
    context = {
        **base,
        "title": "Cache live",
        "fragment_url": f"{reverse('admin:caching_live_fragment')}?{query}",
        **_overview(request),
    }
    return TemplateResponse(request, "tuneup/caching_live.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/caching_now.html", {**base, **_overview(request)})


def budget(request: HttpRequest, base: Base) -> HttpResponse:
    """Set the budget that the curve advises, and show who obeys."""
    settings_url = reverse("admin:caching_cachingsettings_change", args=(1,))
    given = request.POST.get("budget_bytes", "")
    if request.method != "POST" or not given.isdecimal() or len(given) > 15:
        return redirect("admin:caching_live")
    try:
        revision = set_budget(int(given))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("admin:caching_live")
    return redirect(f"{settings_url}?revision={revision}" if revision else settings_url)


def keys(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what a key holds in each tier; its value only to who may see it."""
    namespace, key = request.GET.get("namespace", "default"), request.GET.get("key", "")
    found: dict[str, Any] = {}
    if key:
        try:
            found["inspected"] = inspected = entries.inspect(namespace, key)
            if inspected is None:
                found["problem"] = f"There is no value under {key!r}."
            elif request.user.has_perm("caching.view_cached_values"):
                found["value"] = _shown(inspected.value)
        except (BadArgument, UnknownNamespace) as error:
            found["problem"] = str(error)
        found["waiting"] = entries.is_waiting()
    context = {
        **base,
        "title": "Cached keys",
        "namespaces": _namespaces(),
        "namespace": namespace,
        "key": key,
        **found,
    }
    return TemplateResponse(request, "tuneup/caching_keys.html", context)


def delete_key(request: HttpRequest, base: Base) -> HttpResponse:
    """Delete one key, and show it again."""
    namespace, key = request.POST.get("namespace", ""), request.POST.get("key", "")
    if request.method == "POST":
        try:
            there = entries.delete(namespace, key)
            messages.success(request, f"{key} is deleted." if there else f"{key} was not there.")
        except (BadArgument, UnknownNamespace) as error:
            messages.error(request, str(error))
    address = reverse("admin:caching_keys")
    return redirect(f"{address}?{urlencode({'namespace': namespace, 'key': key})}")


def invalidate(request: HttpRequest, base: Base) -> HttpResponse:
    """Ask what to invalidate, tell how many values that is, and do it when it is confirmed."""
    kind, text = request.POST.get("kind", "pattern"), request.POST.get("text", "").strip()
    namespace = request.POST.get("namespace", "default")
    context = {
        **base,
        "title": "Invalidate",
        "namespaces": _namespaces(),
        "namespace": namespace,
        "kind": kind,
        "text": text,
        "kinds": KIND_NAMES,
        "records": Invalidation.objects.all()[:10],
    }
    if request.method == "POST":
        try:
            target = _target(kind, namespace, text)
            if "confirm" in request.POST:
                done = targets.invalidate(target)
                messages.success(request, _told(done))
                return redirect("admin:caching_invalidate")
            context |= {"preview": True, "count": targets.count(target), "what": target.words}
        except (BadArgument, UnknownNamespace) as error:
            context["problem"] = str(error)
        except Away:
            context |= {"preview": True, "count": None, "what": target.words, "away": True}
    return TemplateResponse(request, "tuneup/caching_invalidate.html", context)


KIND_NAMES = {
    "pattern": "keys that fit a pattern",
    "keys": "keys, one a line",
    "tag": "what has a tag",
    "namespace": "a whole namespace",
}


def _target(kind: str, namespace: str, text: str) -> Target:
    if kind == "tag":
        return Target(tag=text)
    if kind == "namespace":
        return Target(namespace=namespace)
    if kind == "keys":
        return Target(namespace=namespace, keys=[one for one in text.split() if one])
    return Target(namespace=namespace, pattern=text)


def _told(done: targets.Invalidated) -> str:
    if done.waiting:
        return "Redis is away: it is told as soon as it is back, before it is read again."
    if done.count is None:
        return "All that the namespace held is out of reach."
    return f"{done.count} value{'' if done.count == 1 else 's'} invalidated, in every process."


def _overview(request: HttpRequest) -> dict[str, Any]:
    namespace = request.GET.get("namespace", "")
    found: dict[str, Any] = {"namespace": namespace, "status": selectors.status()}
    try:
        found |= _numbers(namespace)
    except RedisAway:
        found["redis_away"] = True
    return found


def _numbers(namespace: str) -> dict[str, Any]:
    overview = selectors.overview()
    slots, counts = selectors.rates()
    sums = {outcome: [0] * len(slots) for outcome in KINDS}
    lately: dict[str, Counter[str]] = {}
    for (outcome, of), values in counts.items():
        lately.setdefault(of, Counter())[outcome] += sum(values)
        if outcome in sums and namespace in ("", of):
            sums[outcome] = [a + b for a, b in zip(sums[outcome], values, strict=True)]
    lines = [
        Line(NAMES[one], kind, [count / SLOT_SECONDS for count in sums[one]])
        for one, kind in KINDS.items()
    ]
    totals = Counter({one: sum(values) for one, values in sums.items()})
    reads = sum(totals.values())
    most = max((one.count for one in overview.hot_keys), default=1) or 1
    return {
        "chart": Chart("Reads in the last hour", "per second", slots, lines),
        "hit_percent": _percent(reads - totals["misses"], reads),
        "l1_percent": _percent(totals["l1_hits"], reads),
        "reads": reads,
        "rows": [
            {
                "stats": one,
                "lately": lately.get(one.name, Counter()),
                "hit_percent": 100 * one.hit_ratio,
                "l1_percent": 100 * one.l1_hit_ratio,
                "load_ms": 1000 * one.mean_load_seconds,
            }
            for one in overview.namespaces
        ],
        "saved_seconds": overview.saved_seconds,
        "loads": overview.total.counts["loads"],
        "processes": [
            {
                "told": one,
                "percent": round(_percent(one.used_bytes, one.budget_bytes)),
                "confirmed_ms": round(1000 * one.staleness_seconds),
            }
            for one in overview.processes
        ],
        "unreadable": overview.total.counts["unreadable"],
        "alarms": sorted({one.alarm for one in overview.processes if one.alarm}),
        "hot_keys": [
            {
                "key": one.key,
                "count": round(one.count),
                "percent": round(100 * one.count / most),
                "query": _place_of(one.key),
            }
            for one in overview.hot_keys[:10]
        ],
        **_advice(overview),
    }


def _advice(overview: selectors.Overview) -> dict[str, Any]:
    if not overview.curve.requests:
        return {}
    budget = caching.current().l1_budget_bytes
    told = selectors.advice(overview.curve, budget)
    widest = told[-1].budget_bytes
    steps = [widest * at / 60 for at in range(1, 61)]
    ratios = overview.curve.points(steps)
    marks = [Mark(budget, f"now {format_amount(budget, 'bytes')}", "plain")]
    marks += [
        Mark(one.budget_bytes, f"advised {format_amount(one.budget_bytes, 'bytes')}", "wait")
        for one in told
        if one.is_advised
    ]
    points = [(0.0, 0.0), *((step, 100 * one) for step, one in zip(steps, ratios, strict=True))]
    return {
        "advice": [
            {"of": one, "percent": 100 * one.hit_ratio, "gain": one.gain_points} for one in told
        ],
        "advised": next((one for one in told if one.is_advised), None),
        "profile": Profile(
            "What other budgets would hit",
            "% in the process",
            points,
            100.0,
            "0",
            format_amount(widest, "bytes"),
            marks,
        ),
    }


def _place_of(name: str) -> str:
    """Return the query that looks at a key by its full name, "" for another version's."""
    cache = tiered()
    if not name.startswith(head := cache.head_of()):
        return ""
    key = name[len(head) :]
    space = cache.tiers.spaces.of(key)
    relative = key[len(space.settings.prefix) :]
    return urlencode({"namespace": space.name, "key": relative})


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _namespaces() -> list[str]:
    return sorted({"default", *(one.name for one in caching.current().namespaces)})


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else pprint.pformat(value, width=100)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} …"


def _query(request: HttpRequest, *names: str) -> str:
    return urlencode({name: request.GET[name] for name in names if request.GET.get(name)})

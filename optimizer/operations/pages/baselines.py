"""Baselines in the admin: the kept ones, and two of them side by side."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from optimizer.operations.baselines import comparing, files

Base = dict[str, Any]
MOST_SHOWN = 50


def show(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the newest baseline, or the two that `before` and `after` name."""
    names = files.names()
    context: Base = {**base, "title": "Baselines", "names": names[:MOST_SHOWN]}
    before, after = request.GET.get("before", ""), request.GET.get("after", "")
    wanted = [one for one in (before, after) if one in names]
    if not wanted and names:
        wanted = _last_pair(names)
    try:
        found = [files.read(one) for one in wanted]
    except files.NoBaseline as error:
        messages.error(request, str(error))
        found = []
    if len(found) == 2:
        lines = comparing.compare(*found)
        context |= {"lines": lines, "bars": _bars(*found), "worse": any(x.worse for x in lines)}
    context |= {"before": wanted[0] if wanted else "", "after": wanted[-1] if wanted else ""}
    context["found"] = [_words(name, one) for name, one in zip(wanted, found, strict=False)]
    return TemplateResponse(request, "tuneup/operations_baselines.html", context)


def _last_pair(names: list[str]) -> list[str]:
    """Return the two newest, the older one first: compare_optimizations writes off, then on."""
    return names[:2][::-1]


def _bars(before: files.Baseline, after: files.Baseline) -> list[dict[str, Any]]:
    """Return a pair of bars for each endpoint, in per cent of the slower one."""
    rows = []
    for path, one in before.endpoints.items():
        two = after.endpoints.get(path)
        if two is None:
            continue
        longest = max(one.p50_ms, two.p50_ms) or 1.0
        rows.append(
            {
                "path": path,
                "before_ms": one.p50_ms,
                "after_ms": two.p50_ms,
                "before_percent": round(100 * one.p50_ms / longest, 1),
                "after_percent": round(100 * two.p50_ms / longest, 1),
                "better": two.p50_ms <= one.p50_ms,
                "improvement": round(100 * (1 - two.p50_ms / one.p50_ms)) if one.p50_ms else 0,
            }
        )
    return rows


def _words(name: str, one: files.Baseline) -> dict[str, Any]:
    on = sorted(component for component, is_on in one.optimizations.items() if is_on)
    return {
        "name": name,
        "of": one,
        "on": ", ".join(on) or "none",
        "memory_bytes": sum(one.memory_bytes.values()),
        "machine": ", ".join(
            (one.machine.get("processor", ""), f"{one.machine.get('cores', '?')} cores")
        ),
        "versions": ", ".join(f"{key} {value}" for key, value in one.versions.items()),
    }

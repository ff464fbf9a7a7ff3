"""Every component's figures over an hour, two days or three months."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from optimizer.control import registry
from optimizer.control.trends import Limit, Trend
from optimizer.operations.models import AlertRule
from optimizer.operations.pages.words import SEVERITY_COLOURS, STATE_COLOURS, state_of
from optimizer.operations.selectors.alerts import rules_by_figure
from optimizer.operations.selectors.history import RANGES, Range, Track, history, latest

Base = dict[str, Any]


def page(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    chosen = _chosen(request)
    context = {
        **base,
        "title": "History",
        "fragment_url": f"{reverse('admin:operations_history_fragment')}?{urlencode(chosen)}",
        **_overview(chosen),
    }
    return TemplateResponse(request, "tuneup/operations_history.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the charts alone, for the page to refresh itself."""
    return render(request, "tuneup/operations_history_now.html", _overview(_chosen(request)))


def _chosen(request: HttpRequest) -> dict[str, str]:
    asked = request.GET.get("range", "")
    of = request.GET.get("of", "")
    names = {one.name for one in registry.components() if one.figures is not None}
    return {"range": asked if asked in RANGES else "hour", **({"of": of} if of in names else {})}


def _overview(chosen: dict[str, str]) -> dict[str, Any]:
    span, only = RANGES[chosen["range"]], chosen.get("of", "")
    known = {
        name: found for name, found in registry.figures().items() if only in ("", found[0].name)
    }
    times, tracks = history(span, known)
    rules = rules_by_figure()
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, (component, figure) in known.items():
        of_figure = rules.get(name, [])
        groups.setdefault(component.title, []).append(
            {
                "trend": _trend(span, figure, times, tracks[name], of_figure),
                "rules": [_rule(rule) for rule in of_figure],
            }
        )
    return {
        "groups": groups,
        "latest": latest(),
        "ranges": _links("range", {key: one.title for key, one in RANGES.items()}, chosen),
        "components": _links(
            "of",
            {"": "All"}
            | {one.name: one.title for one in registry.components() if one.figures is not None},
            chosen,
        ),
    }


def _trend(
    span: Range, figure: registry.Figure, times: list[int], track: Track, rules: list[AlertRule]
) -> Trend:
    limits = [Limit(rule.name, rule.threshold, SEVERITY_COLOURS[rule.severity]) for rule in rules]
    return Trend(
        figure.title, figure.unit, times, track.values, track.least, track.most, limits,
        span.time_format,
    )  # fmt: skip


def _rule(rule: AlertRule) -> dict[str, Any]:
    state = state_of(rule)
    return {
        "name": rule.name,
        "state": state,
        "colour": STATE_COLOURS[state],
        "url": reverse("admin:operations_alertrule_change", args=(rule.pk,)),
    }


def _links(key: str, titles: dict[str, str], chosen: dict[str, str]) -> list[Any]:
    """Return choices as links: title, query string, and whether it is the present one."""
    found = []
    for name, title in titles.items():
        kept = {one: value for one, value in {**chosen, key: name}.items() if value}
        found.append((title, urlencode(kept), chosen.get(key, "") == name))
    return found

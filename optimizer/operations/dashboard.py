"""The admin's first page and its navigation: both walk the registry and know no component."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.cache import never_cache
from django_celery_beat.models import PeriodicTask

from optimizer.control import processes, registry, selectors
from optimizer.control.models import Revision, SettingsModel
from optimizer.control.redis import RedisAway
from optimizer.control.revisions import settings_models
from optimizer.control.trends import Trend
from optimizer.control.units import format_measured
from optimizer.operations import health
from optimizer.operations.models import AlertRule, OperationsSettings, PerformanceReview
from optimizer.operations.selectors import alerts
from optimizer.operations.selectors.history import RANGES, Track, history


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the dashboard shows to the admin index's context."""
    return {**context, "title": "Dashboard", "dashboard": overview(request)}


@never_cache
@staff_member_required
def fragment(request: HttpRequest) -> HttpResponse:
    """Return the dashboard alone, for the page to refresh itself."""
    return render(request, "tuneup/dashboard.html", {"dashboard": overview(request)})


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return health, components, processes and, for who may see them, the last changes."""
    readiness, results = health.readiness()
    revision = selectors.head_revision()
    try:
        seen, redis_away = processes.seen(revision), False
    except RedisAway:
        seen, redis_away = [], True
    synced = sum(one.state == "SYNCED" for one in seen)
    return {
        "readiness": readiness,
        "checks": [
            {
                "name": one.name,
                "critical": one.critical,
                "error": one.error,
                "took_ms": f"{one.took_seconds * 1000:.1f}",
            }
            for one in results
        ],
        "alerts": alerts.overview() if _may_view(request, AlertRule) else None,
        "components": _cards(),
        "review": PerformanceReview.objects.defer("content").first()
        if _may_view(request, OperationsSettings)
        else None,
        "revision": revision,
        "processes": seen,
        "synced_percent": round(100 * synced / len(seen)) if seen else 0,
        "redis_away": redis_away,
        "may_see_revisions": _may_view(request, Revision),
        "revisions": [
            (one, selectors.in_words(one, most=2))
            for one in Revision.objects.all()[:6]
            if _may_view(request, Revision)
        ],
    }


def _cards() -> list[dict[str, Any]]:
    components = registry.components()
    # The first figure that a component declares is what it is known by.
    names = {
        one.name: f"{one.name}.{one.figures.declared[0].name}" for one in components if one.figures
    }
    times, tracks = history(RANGES["hour"], names.values())
    return [_card(one, times, tracks.get(names.get(one.name, ""))) for one in components]


def _card(component: registry.Component, times: list[int], track: Track | None) -> dict[str, Any]:
    trend = None
    if track is not None and component.figures is not None:
        figure = component.figures.declared[0]
        trend = Trend(figure.title, figure.unit, times, track.values, track.least, track.most)
    return {
        "title": component.title,
        "description": component.description,
        "url": reverse(component.pages[0].url_name)
        if component.pages
        else _settings_url(component.name),
        "history_url": f"{_list_url(Revision)}?component={component.name}",
        "trend": trend,
        "error": component.live.error,
        "facts": [
            _fact(name, value)
            for name, value in component.status().items()
            if not isinstance(value, dict | list) and value != ""
        ],
    }


def _fact(name: str, value: Any) -> tuple[str, str]:
    """Return a fact as people read it: a unit in its name goes behind the number."""
    if isinstance(value, bool):
        return name.replace("_", " "), "yes" if value else "no"
    words, _, unit = name.rpartition("_")
    if not isinstance(value, int | float) or unit not in ("bytes", "seconds", "percent"):
        return name.replace("_", " "), str(value)
    shown = f"{value} %" if unit == "percent" else format_measured(value, unit)
    return words.replace("_", " "), shown


def _settings_url(component: str) -> str:
    pages = (one for one in settings_models(component) if one in admin.site._registry)
    return next((_list_url(one) for one in pages), "")


def _list_url(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def environment(request: HttpRequest) -> tuple[str, str] | None:
    """Return the label that tells installations apart, with its colour; red is production."""
    name: str = settings.ENVIRONMENT_NAME
    return (name, "danger" if name.startswith("prod") else "info") if name else None


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: a group for each component, then the platform, as far as one may look."""
    groups = [_group("Tuneup", [("Dashboard", "space_dashboard", reverse("admin:index"))])]
    for component in registry.components():
        pages = [(page.title, page.icon, reverse(page.url_name)) for page in component.pages]
        links = [
            _link(model, component.icon if issubclass(model, SettingsModel) else "list")
            for model in settings_models(component.name)
            if _may_view(request, model)
        ]
        if component.name == "control":
            if _may_view(request, Revision):
                links.append(_link(Revision, "history"))
            links.append(("API docs", "menu_book", reverse("internal-v1:openapi-view")))
        groups.append(_group(component.title, [*pages, *links] if links else []))
    django = ((PeriodicTask, "schedule"), (User, "person"), (Group, "group"))
    groups.append(
        _group("Django", [_link(one, icon) for one, icon in django if _may_view(request, one)])
    )
    return [group for group in groups if group["items"]]


def _link(model: Any, icon: str) -> tuple[str, str, str]:
    url = _list_url(model)
    if issubclass(model, SettingsModel):  # its list leads there; pages beside it are others
        url = f"{url}1/change/"
    return capfirst(model._meta.verbose_name_plural), icon, url


def _group(title: str, links: list[tuple[str, str, str]]) -> dict[str, Any]:
    items = [{"title": name, "icon": icon, "link": link} for name, icon, link in links]
    return {"title": title, "separator": True, "items": items}


def _may_view(request: HttpRequest, model: Any) -> bool:
    page = admin.site._registry.get(model)
    return page is not None and page.has_view_permission(request)

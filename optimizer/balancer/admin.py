"""The balancer's pages: what holds for all groups, each group with its backends, what goes on."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from optimizer.balancer.models import Backend, BalancerSettings, Group
from optimizer.balancer.pages import live, what_if
from optimizer.control.admin_base import SettingsAdmin, SettingsInline, SettingsRowAdmin


@admin.register(BalancerSettings)
class BalancerSettingsAdmin(SettingsAdmin):
    """What holds for all groups; and the pages beside it."""

    fieldsets = (
        (None, {"fields": ("ejects", "allowed_addresses")}),
        ("Forwarding", {"fields": ("forwards", "max_body_bytes")}),
        ("Database replicas", {"fields": ("primary_apps",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        act = require_POST(self.page(live.act, changes=True))
        return [
            path("live/", self.page(live.page), name="balancer_live"),
            path("live/fragment/", self.page(live.fragment), name="balancer_live_fragment"),
            path("live/act/", act, name="balancer_act"),
            path("what-if/", self.page(what_if.page), name="balancer_what_if"),
            *super().get_urls(),
        ]


class BackendInline(SettingsInline):
    """The backends of a group, on its page."""

    model = Backend
    fields = (
        "name",
        "address",
        "weight",
        "zone",
        "priority",
        "max_in_flight",
        "enabled",
        "draining",
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "address" and field is not None:
            field.widget.attrs["style"] = "min-width: 16rem"
        return field


@admin.register(Group)
class GroupAdmin(SettingsRowAdmin):
    """A group and its backends, on one page."""

    list_display = ("name", "kind", "strategy", "backend_count", "check_kind", "shown_live")
    list_filter = ("kind", "strategy")
    search_fields = ("name", "backends__name", "backends__address")
    inlines = (BackendInline,)
    fieldsets = (
        (None, {"fields": ("name", "kind", "strategy", "zone_aware")}),
        (
            "The strategy's numbers",
            {
                "classes": ("collapse",),
                "fields": ("decay_seconds", "table_size", "ring_points", "bounded_load_percent"),
            },
        ),
        (
            "Calls",
            {
                "fields": (
                    "timeout_seconds",
                    "connect_timeout_seconds",
                    "max_attempts",
                    "retry_percent",
                    "retries_per_second",
                    "hedge_percentile",
                    "lease_seconds",
                )
            },
        ),
        (
            "Checks by beat",
            {
                "classes": ("collapse",),
                "fields": (
                    "check_kind",
                    "check_path",
                    "check_status",
                    "check_body",
                    "check_interval_seconds",
                    "check_timeout_seconds",
                    "check_fall",
                    "check_rise",
                ),
            },
        ),
        (
            "Ejection by how calls go",
            {
                "classes": ("collapse",),
                "fields": (
                    "consecutive_failures",
                    "failure_percent",
                    "success_rate_stdev",
                    "latency_factor",
                    "outlier_interval_seconds",
                    "outlier_requests",
                    "outlier_backends",
                    "ejection_seconds",
                    "max_ejection_seconds",
                    "max_ejected_percent",
                    "probe_successes",
                ),
            },
        ),
        (
            "Few healthy, and coming back",
            {"classes": ("collapse",), "fields": ("panic_percent", "slow_start_seconds")},
        ),
        ("Database replicas", {"classes": ("collapse",), "fields": ("max_lag_seconds",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        in_use = Q(backends__enabled=True, backends__draining=False)
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.annotate(
            count=Count("backends", distinct=True),
            used=Count("backends", filter=in_use, distinct=True),
        )

    @admin.display(description="backends", ordering="count")
    def backend_count(self, group: Any) -> str:
        return str(group.count) if group.used == group.count else f"{group.used} of {group.count}"

    @admin.display(description="now")
    def shown_live(self, group: Group) -> SafeString:
        url = f"{reverse('admin:balancer_live')}?{urlencode({'group': group.name})}"
        return format_html('<a href="{}">live</a>', url)

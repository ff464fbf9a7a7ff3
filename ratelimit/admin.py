"""The limiter's pages: the switch, what goes on now, tiers, scopes and subjects."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path

from optimizer.control.admin_base import SettingsAdmin, SettingsInline, SettingsRowAdmin
from optimizer.control.redis import RedisAway
from optimizer.control.units import format_amount
from ratelimit import pages
from ratelimit.live import limit_of
from ratelimit.models import RatelimitSettings, Scope, ScopeRule, Subject, SubjectPattern, Tier
from ratelimit.services import what_if


@admin.register(RatelimitSettings)
class RatelimitSettingsAdmin(SettingsAdmin):
    """The kill switch and the tier of everybody else; and the live page."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path("live/", self.page(pages.live_page), name="ratelimit_live"),
            path("live/fragment/", self.page(pages.fragment), name="ratelimit_live_fragment"),
            path("live/act/", self.page(pages.act, changes=True), name="ratelimit_act"),
            *super().get_urls(),
        ]


class SubjectInline(SettingsInline):
    """Who belongs to the tier."""

    model = Subject
    fields = ("identifier", "access", "expires_at")


@admin.register(Tier)
class TierAdmin(SettingsRowAdmin):
    """A tier and its subjects, on one page; with what a change would have done."""

    change_form_template = "tuneup/tier_form.html"
    list_display = ("name", "burst", "refill", "beside", "when_redis_is_away", "subject_count")
    search_fields = ("name",)
    inlines = (SubjectInline,)
    fieldsets = (
        (None, {"fields": ("name", "capacity", "refill_tokens", "refill_period_seconds")}),
        ("A change", {"fields": ("on_change",)}),
        ("Past the limit", {"fields": ("max_wait_seconds", "near_limit_percent", "shadow")}),
        ("Quota", {"fields": ("quota", "quota_period", "time_zone")}),
        ("Calls at once", {"fields": ("concurrency", "hold_seconds")}),
        ("Speed and outages", {"fields": ("lease_percent", "when_redis_is_away")}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.what_if_view)
        return [path("<int:pk>/what-if/", view, name="ratelimit_what_if"), *super().get_urls()]

    def what_if_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Tell what the numbers in the form would have done to the last hour's calls."""
        row = self.get_object(request, str(pk))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        name = row.name
        form = self.get_form(request, row)(request.POST or None, instance=row)
        context: dict[str, Any] = {}
        if form.is_valid():
            try:
                context["preview"] = what_if.preview(name, limit_of(form.instance))
            except RedisAway:
                context["problem"] = "Redis is away, and with it the record of the last hour."
        else:
            wrong = [f"{field}: {' '.join(says)}" for field, says in form.errors.items()]
            context["problem"] = "; ".join(wrong) or "Nothing was sent."
        return render(request, "tuneup/what_if.html", context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(count=Count("subjects"))

    @admin.display(description="burst", ordering="capacity")
    def burst(self, tier: Tier) -> str:
        return format_amount(tier.capacity, "tokens")

    @admin.display(description="refill")
    def refill(self, tier: Tier) -> str:
        period = format_amount(tier.refill_period_seconds, "seconds")
        return f"{format_amount(tier.refill_tokens, '')} each {period}"

    @admin.display(description="beside")
    def beside(self, tier: Tier) -> str:
        parts = [
            f"{format_amount(tier.quota, '')} a {tier.quota_period}" if tier.quota else "",
            f"{tier.concurrency} at once" if tier.concurrency else "",
            "shadow" if tier.shadow else "",
        ]
        return ", ".join(filter(None, parts)) or "-"

    @admin.display(description="subjects", ordering="count")
    def subject_count(self, tier: Any) -> int:
        return int(tier.count)


class ScopeRuleInline(SettingsInline):
    """Which tier a subject's tier becomes in the scope."""

    model = ScopeRule
    fk_name = "scope"
    fields = ("subject_tier", "tier")


@admin.register(Scope)
class ScopeAdmin(SettingsRowAdmin):
    """A scope and its rules, on one page."""

    list_display = ("name", "tier", "rule_count")
    search_fields = ("name",)
    inlines = (ScopeRuleInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(count=Count("rules"))

    @admin.display(description="rules", ordering="count")
    def rule_count(self, scope: Any) -> int:
        return int(scope.count)


class AssignmentAdmin(SettingsRowAdmin):
    """What is common to subjects and patterns of them."""

    list_filter = ("access", "tier")


@admin.register(Subject)
class SubjectAdmin(AssignmentAdmin):
    """Subjects that have a tier of their own, or are on a list."""

    list_display = ("identifier", "access", "tier", "expires_at")
    search_fields = ("identifier",)
    fields = ("identifier", "access", "tier", "expires_at")


@admin.register(SubjectPattern)
class SubjectPatternAdmin(AssignmentAdmin):
    """Subjects by the form of their names."""

    list_display = ("pattern", "priority", "access", "tier", "expires_at")
    search_fields = ("pattern",)
    fields = ("pattern", "priority", "access", "tier", "expires_at")

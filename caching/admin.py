"""The cache's pages: settings, namespaces, what goes on now, keys, invalidation and its records."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from caching import pages
from caching.models import CachingSettings, Invalidation, Namespace
from optimizer.control.admin_base import SettingsAdmin, SettingsRowAdmin
from optimizer.control.unfold import ModelAdmin
from optimizer.control.units import format_amount

View = Callable[[HttpRequest, dict[str, Any]], HttpResponse]


@admin.register(CachingSettings)
class CachingSettingsAdmin(SettingsAdmin):
    """The budget and the bounds; and the pages beside them."""

    fieldsets = (
        (None, {"fields": ("enabled", "l1_budget_bytes", "l1_policy", "l1_largest_percent")}),
        ("Both tiers", {"fields": ("max_staleness_seconds", "max_value_bytes")}),
        ("Statistics", {"fields": ("sample_keys",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.page
        return [
            path("live/", view(pages.live), name="caching_live"),
            path("live/fragment/", view(pages.fragment), name="caching_live_fragment"),
            path("budget/", view(pages.budget, changes=True), name="caching_budget"),
            path("keys/", view(pages.keys), name="caching_keys"),
            path("keys/delete/", view(pages.delete_key, changes=True), name="caching_delete_key"),
            path("invalidate/", view(pages.invalidate, changes=True), name="caching_invalidate"),
            *super().get_urls(),
        ]


@admin.register(Namespace)
class NamespaceAdmin(SettingsRowAdmin):
    """What governs the keys that begin with a prefix."""

    list_display = ("name", "shown_prefix", "lives", "tiers", "share", "codec")
    search_fields = ("name", "prefix")
    fieldsets = (
        (None, {"fields": ("name", "prefix", "ttl_seconds", "jitter_percent")}),
        ("First tier: copies in the process", {"fields": ("l1", "l1_share_percent", "l1_seconds")}),
        ("Second tier: Redis", {"fields": ("l2", "codec", "compress_over_bytes")}),
        (
            "Loads",
            {
                "fields": (
                    "negative_seconds",
                    "early_refresh",
                    "soft_timeout_seconds",
                    "load_seconds",
                )
            },
        ),
        (
            "Stale values",
            {"fields": ("stale_seconds", "stale_if_error_seconds", "retry_seconds")},
        ),
    )

    @admin.display(description="prefix", ordering="prefix")
    def shown_prefix(self, row: Namespace) -> str:
        return row.prefix or "all other keys"

    @admin.display(description="lives", ordering="ttl_seconds")
    def lives(self, row: Namespace) -> str:
        return format_amount(row.ttl_seconds, "seconds") if row.ttl_seconds else "for ever"

    @admin.display(description="tiers")
    def tiers(self, row: Namespace) -> str:
        return " + ".join(name for name, on in (("process", row.l1), ("Redis", row.l2)) if on)

    @admin.display(description="budget", ordering="l1_share_percent")
    def share(self, row: Namespace) -> str:
        return f"{row.l1_share_percent:g} %" if row.l1_share_percent else "shared"


@admin.register(Invalidation)
class InvalidationAdmin(ModelAdmin):
    """Who invalidated what, to look at."""

    list_display = ("created_at", "what", "count", "waited", "actor", "channel")
    list_filter = ("channel",)
    search_fields = ("what", "actor", "request_id")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

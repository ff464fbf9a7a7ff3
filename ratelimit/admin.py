"""The limiter's pages: the switch, the tiers with their subjects."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from optimizer.control.admin_base import SettingsAdmin, SettingsInline, SettingsRowAdmin
from optimizer.control.units import format_amount
from ratelimit.models import RatelimitSettings, Subject, Tier


@admin.register(RatelimitSettings)
class RatelimitSettingsAdmin(SettingsAdmin):
    """The kill switch and the tier of everybody else."""


class SubjectInline(SettingsInline):
    """Who belongs to the tier."""

    model = Subject


@admin.register(Tier)
class TierAdmin(SettingsRowAdmin):
    """A tier and its subjects, on one page."""

    list_display = ("name", "burst", "refill", "when_redis_is_away", "subject_count")
    search_fields = ("name",)
    inlines = (SubjectInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(count=Count("subjects"))

    @admin.display(description="burst", ordering="capacity")
    def burst(self, tier: Tier) -> str:
        return format_amount(tier.capacity, "tokens")

    @admin.display(description="refill")
    def refill(self, tier: Tier) -> str:
        period = format_amount(tier.refill_period_seconds, "seconds")
        return f"{format_amount(tier.refill_tokens, '')} each {period}"

    @admin.display(description="subjects", ordering="count")
    def subject_count(self, tier: Any) -> int:
        return int(tier.count)


@admin.register(Subject)
class SubjectAdmin(SettingsRowAdmin):
    """Subjects that have a tier of their own."""

    list_display = ("identifier", "tier")
    list_filter = ("tier",)
    search_fields = ("identifier",)

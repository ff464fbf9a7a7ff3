"""The pages of alert rules, and of what happened."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from optimizer.control import registry
from optimizer.control.admin_base import SettingsRowAdmin
from optimizer.control.forms import SettingsForm
from optimizer.control.revisions import change
from optimizer.control.templatetags.tuneup import ago
from optimizer.control.unfold import ModelAdmin, UnfoldAdminSelectWidget
from optimizer.control.units import format_duration
from optimizer.operations.models import AlertEvent, AlertRule, Notice
from optimizer.operations.pages.words import (
    OUTCOME_COLOURS,
    SEVERITY_COLOURS,
    STATE_COLOURS,
    badge,
    state_of,
)
from optimizer.operations.selectors.alerts import outcome_of
from optimizer.operations.services.alerting import amount_of, condition_of


def figure_choices() -> list[tuple[str, Any]]:
    """Return every figure under its component."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, (component, figure) in registry.figures().items():
        unit = f" ({figure.unit})" if figure.unit else ""
        groups.setdefault(component.title, []).append((name, f"{figure.title}{unit}"))
    return [("", "—"), *groups.items()]


class AlertRuleForm(SettingsForm):
    """A rule, with its figure chosen from those that there are."""

    figure = forms.ChoiceField(choices=figure_choices, widget=UnfoldAdminSelectWidget())


@admin.register(AlertRule)
class AlertRuleAdmin(SettingsRowAdmin):
    """Rules: what they say, how they stand, whom they tell."""

    form = AlertRuleForm
    list_display = ("name", "shown_state", "shown_value", "condition", "shown_severity", "tells")
    list_filter = ("severity", "enabled")
    search_fields = ("name", "figure")
    actions = ("silence_hour", "silence_day", "end_silence")
    fieldsets = (
        (None, {"fields": ("name", "severity", "enabled")}),
        (
            "Condition",
            {"fields": ("figure", "comparison", "threshold", "clear_threshold", "for_minutes")},
        ),
        ("Who is told", {"fields": ("to_log", "emails", "webhook_url", "silenced_until")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        rows: QuerySet[AlertRule] = super().get_queryset(request)
        return rows.select_related("state")

    @admin.display(description="state")
    def shown_state(self, row: AlertRule) -> SafeString:
        state = state_of(row)
        since = f" for {format_duration((timezone.now() - row.state.since).total_seconds())}"
        shown = badge(
            state + (since if state in ("firing", "pending") else ""), STATE_COLOURS[state]
        )
        if not row.is_silenced:
            return shown
        until = f"silenced until {row.silenced_until:%Y-%m-%d %H:%M} UTC"
        return format_html("{}<br>{}", shown, badge(until, "quiet"))

    @admin.display(description="now")
    def shown_value(self, row: AlertRule) -> SafeString:
        value = amount_of(row.figure, row.state.value) if hasattr(row, "state") else "—"
        component = row.figure.partition(".")[0]
        address = f"{reverse('admin:operations_history')}?of={component}"
        return format_html('<a href="{}">{}</a>', address, value)

    @admin.display(description="condition")
    def condition(self, row: AlertRule) -> str:
        return condition_of(row)

    @admin.display(description="severity", ordering="severity")
    def shown_severity(self, row: AlertRule) -> SafeString:
        return badge(row.severity, SEVERITY_COLOURS[row.severity])

    @admin.display(description="tells")
    def tells(self, row: AlertRule) -> str:
        told = ["log"] if row.to_log else []
        told += row.addresses + (["webhook"] if row.webhook_url else [])
        return ", ".join(told) or "nobody"

    @admin.action(description="Silence for an hour", permissions=["change"])
    def silence_hour(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self._silence(request, queryset, timedelta(hours=1))

    @admin.action(description="Silence for a day", permissions=["change"])
    def silence_day(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self._silence(request, queryset, timedelta(days=1))

    @admin.action(description="End the silence", permissions=["change"])
    def end_silence(self, request: HttpRequest, queryset: QuerySet[AlertRule]) -> None:
        self._silence(request, queryset, None)

    def _silence(
        self, request: HttpRequest, rows: QuerySet[AlertRule], length: timedelta | None
    ) -> None:
        until = timezone.now() + length if length is not None else None
        with change("operations", reason="Silenced" if until else "Silence ended"):
            count = rows.update(silenced_until=until)
        how = f"silenced until {until:%Y-%m-%d %H:%M} UTC" if until else "no longer silenced"
        messages.success(request, f"{count} rule{'' if count == 1 else 's'}: {how}.")


class IsOpenFilter(admin.SimpleListFilter):
    """By whether it still fires."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("firing", "Firing"), ("over", "Over")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AlertEvent]
    ) -> QuerySet[AlertEvent]:
        if self.value() not in ("firing", "over"):
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() == "firing")


@admin.register(AlertEvent)
class AlertEventAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """What fired, how long, and who was told."""

    list_display = (
        "name",
        "shown_state",
        "shown_severity",
        "condition",
        "shown_worst",
        "started_at",
        "lasted",
        "shown_notices",
    )
    list_display_links = None
    list_filter = (IsOpenFilter, "severity")
    search_fields = ("name", "figure")
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertEvent]:
        rows: QuerySet[AlertEvent] = super().get_queryset(request)
        return rows.prefetch_related("notices")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="state")
    def shown_state(self, row: AlertEvent) -> SafeString:
        if row.resolved_at is None:
            return badge("firing", "bad")
        over = badge(f"over {ago(row.resolved_at)}", "ok")
        if not row.ended_by:
            return over
        return format_html('{}<br><span class="tu-muted">{}</span>', over, row.ended_by)

    @admin.display(description="severity", ordering="severity")
    def shown_severity(self, row: AlertEvent) -> SafeString:
        return badge(row.severity, SEVERITY_COLOURS.get(row.severity, "quiet"))

    @admin.display(description="worst", ordering="worst")
    def shown_worst(self, row: AlertEvent) -> str:
        return amount_of(row.figure, row.worst)

    @admin.display(description="lasted")
    def lasted(self, row: AlertEvent) -> str:
        end = row.resolved_at or timezone.now()
        return format_duration((end - row.started_at).total_seconds())

    @admin.display(description="notices")
    def shown_notices(self, row: AlertEvent) -> str | SafeString:
        told = [self._notice(one) for one in row.notices.all()]
        return format_html_join(" ", "{}", ((one,) for one in told)) if told else "nobody was told"

    def _notice(self, notice: Notice) -> SafeString:
        outcome = outcome_of(notice)
        return format_html(
            '<span title="{}">{}</span>',
            notice.error or notice.target,
            badge(
                f"{notice.kind} by {notice.get_channel_display()}: {outcome}",
                OUTCOME_COLOURS[outcome],
            ),
        )

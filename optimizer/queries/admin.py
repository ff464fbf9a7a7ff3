"""The query optimizer's pages: settings, what is known, findings, recommendations."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from optimizer.control.admin_base import SettingsAdmin, SettingsRowAdmin
from optimizer.control.templatetags.tuneup import ago, count
from optimizer.control.unfold import ModelAdmin
from optimizer.control.units import format_duration
from optimizer.queries.models import Finding, Ignored, IgnoreRule, QueriesSettings
from optimizer.queries.models.findings import State
from optimizer.queries.pages import costs, findings, live, recommendations
from optimizer.queries.pages.words import PLACELESS, STATE_COLOURS, badge, fix_of, links
from optimizer.queries.services import states


@admin.register(QueriesSettings)
class QueriesSettingsAdmin(SettingsAdmin):
    """What is watched, and what counts as a finding; and the pages beside them."""

    fieldsets = (
        (None, {"fields": ("enabled", "mode", "sample_percent", "overhead_percent")}),
        ("Findings", {"fields": ("n_plus_one_threshold", "slow_query_seconds", "admins_only")}),
        ("Statistics", {"fields": ("flush_seconds", "keep_days")}),
        (
            "Recommendations",
            {
                "fields": (
                    "cache_least_hit_percent",
                    "cache_longest_ttl_seconds",
                    "index_advice",
                    "index_least_seconds",
                )
            },
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view, advice = self.page, recommendations
        return [
            path("live/", view(live.live), name="queries_live"),
            path("live/fragment/", view(live.fragment), name="queries_live_fragment"),
            path("top/", view(costs.top), name="queries_top"),
            path("query/<str:fingerprint>/", view(costs.query), name="queries_query"),
            path("recommendations/", view(advice.recommendations), name="queries_recommendations"),
            path("recommendations/<int:number>/", view(advice.decide), name="queries_decide"),
            *super().get_urls(),
        ]


class StateFilter(admin.SimpleListFilter):
    """By state; what is open where nothing is chosen."""

    title, parameter_name = "state", "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((one.value, one.label) for one in State if one != State.OPEN), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        every, *others = super().choices(changelist)
        return [{**every, "display": State.OPEN.label}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        chosen = self.value() or State.OPEN
        return queryset.filter(state=chosen) if chosen in State.values else queryset


@admin.register(Finding)
class FindingAdmin(ModelAdmin):
    """What is to mend, by the time that it loses."""

    list_display = (
        "shown_kind",
        "place",
        "shown_suggestion",
        "shown_units",
        "most",
        "shown_queries",
        "lost",
        "seen",
        "shown_state",
    )
    list_display_links = ("shown_kind", "place")
    list_filter = (StateFilter, "kind")
    list_per_page = 50
    list_before_template = "tuneup/queries_states.html"
    show_full_result_count = False
    search_fields = ("location", "sql", "suggestion")
    actions = ("ignore", "mark_fixed", "open_again")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="kind", ordering="kind")
    def shown_kind(self, row: Finding) -> SafeString:
        return badge(row.kind, row.get_kind_display())

    @admin.display(description="location", ordering="location")
    def place(self, row: Finding) -> str:
        return row.location or PLACELESS

    @admin.display(description="fix")
    def shown_suggestion(self, row: Finding) -> str:
        code, _ = fix_of(row)
        return code if len(code) <= 60 else f"{code[:59]}…"

    @admin.display(description="units", ordering="hits")
    def shown_units(self, row: Finding) -> str:
        return count(row.hits)

    @admin.display(description="most", ordering="count")
    def most(self, row: Finding) -> str:
        return count(row.count)

    @admin.display(description="queries", ordering="queries")
    def shown_queries(self, row: Finding) -> str:
        return count(row.queries)

    @admin.display(description="lost", ordering="lost_seconds")
    def lost(self, row: Finding) -> str:
        return format_duration(row.lost_seconds)

    @admin.display(description="seen", ordering="last_seen_at")
    def seen(self, row: Finding) -> str:
        return ago(row.last_seen_at)

    @admin.display(description="state", ordering="state")
    def shown_state(self, row: Finding) -> SafeString:
        return badge(row.state, row.get_state_display(), STATE_COLOURS)

    @admin.action(description="Ignore", permissions=["change"])
    def ignore(self, request: HttpRequest, queryset: QuerySet[Finding]) -> None:
        self._set_state(request, queryset, State.IGNORED)

    @admin.action(description="Mark as fixed", permissions=["change"])
    def mark_fixed(self, request: HttpRequest, queryset: QuerySet[Finding]) -> None:
        self._set_state(request, queryset, State.FIXED)

    @admin.action(description="Open again", permissions=["change"])
    def open_again(self, request: HttpRequest, queryset: QuerySet[Finding]) -> None:
        self._set_state(request, queryset, State.OPEN)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.state_view))
        return [
            path("<int:number>/state/", view, name="queries_finding_state"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, with the states as links above it."""
        kept = {key: one for key, one in request.GET.items() if key not in ("state", "p")}
        shown = request.GET.get("state", "")
        choices = {"": State.OPEN.label, "ignored": "Ignored", "fixed": "Fixed", "all": "All"}
        context = {**(extra_context or {}), "states": links(shown, choices, "state", kept)}
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one finding whole; nothing of it is changed by a form."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET"])
        if row is None:
            raise Http404("There is no such finding.")
        base = self.admin_site.each_context(request)
        may_change = self.has_change_permission(request, row)
        return findings.finding(request, {**base, "may_change": may_change}, row)

    def state_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Set one finding's state, and show it again."""
        row = get_object_or_404(Finding, pk=number)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        chosen = request.POST.get("state", "")
        if chosen in State.values:
            self._set_state(request, Finding.objects.filter(pk=number), State(chosen))
        return redirect("admin:queries_finding_change", number)

    def _set_state(self, request: HttpRequest, rows: QuerySet[Finding], state: State) -> None:
        changed = Finding.objects.filter(pk__in=[row.pk for row in rows.exclude(state=state)])
        told = list(changed)
        changed_count = states.set_state(changed, state)
        if told and request.user.pk is not None:
            LogEntry.objects.log_actions(
                request.user.pk, told, CHANGE, change_message=f"State: {state.label}"
            )
        words = (
            f"{changed_count} finding{'' if changed_count == 1 else 's'}: {state.label.lower()}."
        )
        messages.success(request, words)


@admin.register(IgnoreRule)
class IgnoreRuleAdmin(SettingsRowAdmin):
    """Findings that are known and meant, and how often each pattern has matched."""

    list_display = ("pattern", "what", "note", "matched", "last_matched")
    search_fields = ("pattern", "note")

    def get_queryset(self, request: HttpRequest) -> QuerySet[IgnoreRule]:
        known = Ignored.objects.filter(pattern=OuterRef("pattern"))
        rows: QuerySet[IgnoreRule] = super().get_queryset(request)
        return rows.annotate(
            ignored_hits=Subquery(known.values("hits")[:1]),
            ignored_at=Subquery(known.values("last_at")[:1]),
        )

    @admin.display(description="matched", ordering="ignored_hits")
    def matched(self, row: Any) -> str | SafeString:
        return count(row.ignored_hits) if row.ignored_hits else badge("never", "never", {})

    @admin.display(description="last", ordering="ignored_at")
    def last_matched(self, row: Any) -> str:
        return ago(row.ignored_at) if row.ignored_at else "—"

"""The pages of pools: what holds for all, the live page, each pool with its figures."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from optimizer.control.admin_base import SettingsAdmin, SettingsRowAdmin
from optimizer.control.forms import SettingsForm
from optimizer.control.units import format_duration
from optimizer.pools.models import PooledConnection, PoolsSettings
from optimizer.pools.models.pool import is_pooled
from optimizer.pools.pages import live, pool, words
from optimizer.pools.selectors import Pool, every, find
from optimizer.pools.services import operating


@admin.register(PoolsSettings)
class PoolsSettingsAdmin(SettingsAdmin):
    """What holds for every pool; and the live page."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path("live/", self.page(live.live), name="pools_live"),
            path("live/fragment/", self.page(live.fragment), name="pools_live_fragment"),
            *super().get_urls(),
        ]


class PoolForm(SettingsForm):
    """A pool's limits, measured against what its server takes."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        sizes = ("alias", "kind", "min_size", "max_size")
        if not self.errors and all(cleaned.get(name) is not None for name in sizes):
            try:
                operating.refuse_too_many(PooledConnection(**{n: cleaned[n] for n in sizes}))
            except ValidationError as error:
                self.add_error(None, error)
        return cleaned


@admin.register(PooledConnection)
class PooledConnectionAdmin(SettingsRowAdmin):
    """Pools: their limits, how they stand, and what is done to them."""

    form = PoolForm
    change_form_template = "tuneup/pools_form.html"
    list_display = ("alias", "shown_state", "shown_gauge", "reuse", "waits", "share")
    list_filter = ("kind",)
    search_fields = ("alias",)
    actions = ("recycle",)
    fieldsets = (
        (None, {"fields": ("alias", "kind", "min_size", "max_size", "acquire_timeout_seconds")}),
        (
            "How long a connection lives",
            {
                "fields": (
                    "idle_timeout_seconds",
                    "max_lifetime_seconds",
                    "lifetime_jitter_percent",
                )
            },
        ),
        (
            "Health",
            {"fields": ("check_after_idle_seconds", "leak_threshold_seconds")},
        ),
    )

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        stands = {one.alias: one for one in every(ask_servers=True)[0]}
        for row in found.result_list:
            row.stands = stands[row.alias]
        return found

    @admin.display(description="state")
    def shown_state(self, row: Any) -> SafeString:
        return format_html(
            '<a href="{}">{}</a><br><span class="tu-muted">{}</span>',
            reverse("admin:pools_pooledconnection_status", args=(row.alias,)),
            words.badge(row.stands), words.KINDS[row.kind],
        )  # fmt: skip

    @admin.display(description="connections of all processes")
    def shown_gauge(self, row: Any) -> str | SafeString:
        return words.gauge(row.stands) if is_pooled(row.alias, row.kind) else "—"

    @admin.display(description="used again")
    def reuse(self, row: Any) -> str:
        totals = row.stands.totals
        return f"{100 * totals.reuse_ratio:.1f} %" if totals.acquired else "—"

    @admin.display(description="wait (99 % within)")
    def waits(self, row: Any) -> str:
        recent = row.stands.recent
        return format_duration(recent.wait_percentile(0.99)) if recent.acquired else "—"

    @admin.display(description="of its server")
    def share(self, row: Any) -> str:
        stands: Pool = row.stands
        if stands.server is None:
            return "—"
        return f"{stands.most} of {stands.server.room}"

    @admin.action(description="Replace all connections", permissions=["change"])
    def recycle(self, request: HttpRequest, queryset: QuerySet[PooledConnection]) -> None:
        for row in queryset:
            operating.recycle(row.alias)
        self.message_user(request, f"{len(queryset)} pool(s): connections are replaced.")

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_POST(self.act_view))
        return [
            path(
                "<str:alias>/status/", self.page(pool.status), name="pools_pooledconnection_status"
            ),
            path(
                "<str:alias>/status/fragment/",
                self.page(pool.fragment),
                name="pools_pooledconnection_fragment",
            ),
            path("<str:alias>/act/", act, name="pools_pooledconnection_act"),
            *super().get_urls(),
        ]

    def act_view(self, request: HttpRequest, alias: str) -> HttpResponse:
        """Do what one of the buttons says, and show the pool again."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        pool.act(request, alias)
        return redirect("admin:pools_pooledconnection_status", alias)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        row = kw.get("obj")
        if row is not None and row.pk:
            stands = find(row.alias)
            pooled = is_pooled(row.alias, row.kind)
            context |= {"pool": stands, "is_crowded": _is_crowded(stands), "is_pooled": pooled}
        return super().render_change_form(request, context, *args, **kw)


def _is_crowded(pool: Pool | None) -> bool:
    return pool is not None and words.server_colour(pool.server_percent or 0) != "ok"

"""The outer wall's page, and the pages beside it; alerts and document indexes have theirs too."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from optimizer.control.admin_base import SettingsAdmin
from optimizer.operations import accounts_admin
from optimizer.operations.models import OperationsSettings
from optimizer.operations.pages import (
    alerts_admin,
    baselines,
    history,
    indexes_admin,
    verification,
)

# Those that end in _admin register their models on import.
__all__ = ["OperationsSettingsAdmin", "accounts_admin", "alerts_admin", "indexes_admin"]


@admin.register(OperationsSettings)
class OperationsSettingsAdmin(SettingsAdmin):
    """The outer wall, who may read what, and what is kept; and the pages beside them."""

    def get_urls(self) -> list[URLPattern]:
        # Not with the admin: it needs pymongo, which a command without MongoDB has no use for.
        from optimizer.operations.pages import indexes

        def view(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            def inner(request: HttpRequest, **given: Any) -> HttpResponse:
                if not self.has_view_permission(request):
                    raise PermissionDenied
                return page(request, self.admin_site.each_context(request), **given)

            return self.admin_site.admin_view(inner)

        return [
            path("verification/", view(verification.show), name="operations_verification"),
            path(
                "verification/fragment/",
                view(verification.fragment),
                name="operations_verification_fragment",
            ),
            path("baselines/", view(baselines.show), name="operations_baselines"),
            path("history/", view(history.page), name="operations_history"),
            path("history/fragment/", view(history.fragment), name="operations_history_fragment"),
            path("indexes/", view(indexes.page), name="operations_indexes"),
            path("indexes/fragment/", view(indexes.fragment), name="operations_indexes_fragment"),
            path("indexes/act/", view(indexes.act), name="operations_indexes_act"),
            *super().get_urls(),
        ]

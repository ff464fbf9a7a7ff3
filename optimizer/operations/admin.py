"""The outer wall's page, and the pages beside it: verification, baselines."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from optimizer.control.admin_base import SettingsAdmin
from optimizer.operations import accounts_admin  # noqa: F401  (registers on import)
from optimizer.operations.models import OperationsSettings
from optimizer.operations.pages import baselines, verification

Page = Callable[[HttpRequest, dict[str, Any]], HttpResponse]


@admin.register(OperationsSettings)
class OperationsSettingsAdmin(SettingsAdmin):
    """The outer wall, and who may read what."""

    def get_urls(self) -> list[URLPattern]:
        def view(page: Page) -> Callable[..., HttpResponse]:
            def inner(request: HttpRequest) -> HttpResponse:
                if not self.has_view_permission(request):
                    raise PermissionDenied
                return page(request, self.admin_site.each_context(request))

            return self.admin_site.admin_view(inner)

        return [
            path("verification/", view(verification.show), name="operations_verification"),
            path(
                "verification/fragment/",
                view(verification.fragment),
                name="operations_verification_fragment",
            ),
            path("baselines/", view(baselines.show), name="operations_baselines"),
            *super().get_urls(),
        ]

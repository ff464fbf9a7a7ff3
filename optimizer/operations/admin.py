"""The outer wall's page, and the pages beside it; alerts and document indexes have theirs too."""

from django.contrib import admin
from django.urls import URLPattern, path

from optimizer.control.admin_base import SettingsAdmin
from optimizer.operations import accounts_admin
from optimizer.operations.models import OperationsSettings
from optimizer.operations.pages import (
    alerts_admin,
    baselines,
    history,
    indexes_admin,
    reviews,
    verification,
)

# Those that end in _admin register their models on import.
__all__ = ["OperationsSettingsAdmin", "accounts_admin", "alerts_admin", "indexes_admin"]


@admin.register(OperationsSettings)
class OperationsSettingsAdmin(SettingsAdmin):
    """The outer wall, who may read what, what is kept, and reviews; and the pages beside them."""

    fieldsets = (
        (
            "Outer wall",
            {
                "fields": (
                    "login_rate_per_minute",
                    "anonymous_rate_per_minute",
                    "keyed_rate_per_minute",
                    "trusted_proxy_count",
                    "metrics_allowed_networks",
                )
            },
        ),
        (
            "Endpoints",
            {"fields": ("fast_answers", "answer_age_seconds", "check_timeout_seconds")},
        ),
        (
            "Performance reviews",
            {
                "fields": (
                    "review_every",
                    "review_weekday",
                    "review_hour",
                    "review_regression_percent",
                    "review_emails",
                    "site_url",
                )
            },
        ),
        (
            "What is kept",
            {
                "fields": (
                    "keep_minutes_hours",
                    "keep_hours_days",
                    "keep_alerts_days",
                    "keep_reviews_days",
                )
            },
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        # Not with the admin: it needs pymongo, which a command without MongoDB has no use for.
        from optimizer.operations.pages import indexes

        view = self.page
        return [
            path("verification/", view(verification.show), name="operations_verification"),
            path(
                "verification/fragment/",
                view(verification.fragment),
                name="operations_verification_fragment",
            ),
            path("baselines/", view(baselines.show), name="operations_baselines"),
            path("reviews/", view(reviews.show), name="operations_reviews"),
            path("reviews/<int:number>/", view(reviews.show), name="operations_review"),
            path("history/", view(history.page), name="operations_history"),
            path("history/fragment/", view(history.fragment), name="operations_history_fragment"),
            path("indexes/", view(indexes.page), name="operations_indexes"),
            path("indexes/fragment/", view(indexes.fragment), name="operations_indexes_fragment"),
            path("indexes/act/", view(indexes.act), name="operations_indexes_act"),
            *super().get_urls(),
        ]

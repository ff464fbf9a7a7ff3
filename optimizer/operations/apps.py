from typing import Any

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "optimizer.operations"
    label = "operations"
    verbose_name = "Operations"

    def ready(self) -> None:
        from optimizer.control import registry, ticker
        from optimizer.operations import checks, figures, recommendations, verify  # noqa: F401
        from optimizer.operations.live import operations
        from optimizer.operations.services import http_counts, seeds, watching

        ticker.register(http_counts.report, seconds=1.0)
        ticker.register(watching.turn, seconds=30.0)

        def status() -> dict[str, Any]:
            now = operations.current()
            return {
                "login_rate_per_minute": now.login_rate_per_minute,
                "anonymous_rate_per_minute": now.anonymous_rate_per_minute,
                "keyed_rate_per_minute": now.keyed_rate_per_minute,
            }

        registry.register(
            registry.Component(
                name="operations",
                title="Operations",
                description="Health, metrics, history, alerts, indexes, and the outer wall.",
                live=operations,
                status=status,
                seed=seeds.seed,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                verify=verify.CHECKS,
                icon="monitoring",
                pages=(
                    registry.Page("Review", "assignment", "admin:operations_reviews"),
                    registry.Page("History", "timeline", "admin:operations_history"),
                    registry.Page("Indexes", "account_tree", "admin:operations_indexes"),
                    registry.Page(
                        "Alerts", "notifications", "admin:operations_alertevent_changelist"
                    ),
                    registry.Page("Verification", "verified", "admin:operations_verification"),
                    registry.Page("Baselines", "speed", "admin:operations_baselines"),
                ),
                platform=True,
            )
        )

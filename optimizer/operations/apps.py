from typing import Any

from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "optimizer.operations"
    label = "operations"
    verbose_name = "Operations"

    def ready(self) -> None:
        from optimizer.control import registry
        from optimizer.operations import checks, verify  # noqa: F401
        from optimizer.operations.live import operations

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
                description="Health, metrics, and the outer wall.",
                live=operations,
                status=status,
                verify=verify.CHECKS,
                icon="monitoring",
                pages=(
                    registry.Page("Verification", "verified", "admin:operations_verification"),
                    registry.Page("Baselines", "speed", "admin:operations_baselines"),
                ),
                platform=True,
            )
        )

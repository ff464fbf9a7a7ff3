from django.apps import AppConfig


class RatelimitConfig(AppConfig):
    name = "ratelimit"
    verbose_name = "Rate limiter"

    def ready(self) -> None:
        from optimizer.control import registry, ticker
        from ratelimit import figures, recommendations, selectors, services, verify
        from ratelimit.live import ratelimit
        from ratelimit.services import reporter

        ticker.register(reporter.report, seconds=1.0)
        ticker.register(services.limiter.give_back_leases, seconds=0.1)
        registry.register(
            registry.Component(
                name="ratelimit",
                title="Rate limiter",
                description="Token buckets with tiers, scopes and quotas.",
                live=ratelimit,
                status=selectors.status,
                router="ratelimit.api.router",
                fast_routes="ratelimit.fast.ROUTES",
                seed=services.seed,
                verify=verify.CHECKS,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                icon="speed",
                pages=(registry.Page("Live", "monitoring", "admin:ratelimit_live"),),
            )
        )

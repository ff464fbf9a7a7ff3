from django.apps import AppConfig
from django.conf import settings


class BalancerConfig(AppConfig):
    name = "optimizer.balancer"
    verbose_name = "Load balancer"

    def ready(self) -> None:
        from optimizer.balancer import checks, figures, recommendations, selectors, verify  # noqa: F401
        from optimizer.balancer.live import balancer
        from optimizer.balancer.services import leases, reporter, seeds, sharing
        from optimizer.control import registry, ticker

        ticker.register(reporter.report, seconds=1.0)
        ticker.register(sharing.tick, seconds=0.1)
        ticker.register(leases.tick, seconds=0.2)
        if settings.DATABASE_REPLICAS:
            from optimizer.balancer.services.reads import executing, messages, positions, statistics

            executing.install()
            messages.install()
            ticker.register(positions.tick, seconds=0.5)
            ticker.register(statistics.report, seconds=1.0)
        registry.register(
            registry.Component(
                name="balancer",
                title="Load balancer",
                description="Calls go where they are answered: latency, failures, health.",
                live=balancer,
                status=selectors.status,
                router="optimizer.balancer.api.router",
                seed=seeds.seed,
                verify=verify.CHECKS,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                icon="alt_route",
                pages=(
                    registry.Page("Live", "monitoring", "admin:balancer_live"),
                    registry.Page("What if", "experiment", "admin:balancer_what_if"),
                ),
            )
        )

from django.apps import AppConfig


class CachingConfig(AppConfig):
    name = "caching"
    verbose_name = "Cache manager"

    def ready(self) -> None:
        from caching import checks, figures, recommendations, selectors, verify  # noqa: F401
        from caching.live import caching
        from caching.services import reporter, seeds
        from optimizer.control import registry, ticker

        ticker.register(reporter.report, seconds=1.0)

        registry.register(
            registry.Component(
                name="caching",
                title="Cache manager",
                description="Copies in each process over Redis, coherent and measured.",
                live=caching,
                status=selectors.status,
                router="caching.api.router",
                seed=seeds.seed,
                verify=verify.CHECKS,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                icon="memory",
                pages=(
                    registry.Page("Live", "monitoring", "admin:caching_live"),
                    registry.Page("Keys", "search", "admin:caching_keys"),
                    registry.Page("Invalidate", "delete_sweep", "admin:caching_invalidate"),
                ),
            )
        )

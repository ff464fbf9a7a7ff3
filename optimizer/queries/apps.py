from django.apps import AppConfig


class QueriesConfig(AppConfig):
    name = "optimizer.queries"
    label = "queries"
    verbose_name = "Query optimizer"

    def ready(self) -> None:
        from optimizer.control import registry, ticker
        from optimizer.queries import checks, figures, recommendations, selectors, verify  # noqa: F401
        from optimizer.queries.live import queries
        from optimizer.queries.services import capture, mongo, proposals, reporter, sources

        capture.install()
        mongo.install()
        sources.install()
        ticker.register(reporter.report, seconds=1.0)

        registry.register(
            registry.Component(
                name="queries",
                title="Query optimizer",
                description="Finds repeated queries and their fixes; says what to cache and index.",
                live=queries,
                status=selectors.status,
                router="optimizer.queries.api.router",
                verify=verify.CHECKS,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                measure=recommendations.measure,
                index_proposals=proposals.proposals,
                icon="manage_search",
                pages=(
                    registry.Page("Live", "monitoring", "admin:queries_live"),
                    registry.Page("Findings", "troubleshoot", "admin:queries_finding_changelist"),
                    registry.Page("Top queries", "leaderboard", "admin:queries_top"),
                    registry.Page("Recommendations", "lightbulb", "admin:queries_recommendations"),
                ),
            )
        )

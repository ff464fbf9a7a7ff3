from django.apps import AppConfig


class BatchesConfig(AppConfig):
    name = "optimizer.batches"
    verbose_name = "Batch processor"

    def ready(self) -> None:
        from optimizer.batches import checks, figures, recommendations, selectors, signals, verify  # noqa: F401
        from optimizer.batches.live import batches
        from optimizer.batches.services import reporter, seeds
        from optimizer.control import registry, ticker

        ticker.register(reporter.report, seconds=1.0)

        registry.register(
            registry.Component(
                name="batches",
                title="Batch processor",
                description="Single items in, bulk operations out; nothing lost, nothing doubled.",
                live=batches,
                status=selectors.status,
                router="optimizer.batches.api.router",
                seed=seeds.seed,
                verify=verify.CHECKS,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                icon="stacks",
                pages=(
                    registry.Page("Live", "monitoring", "admin:batches_live"),
                    registry.Page("Waiting items", "inbox", "admin:batches_item_changelist"),
                    registry.Page(
                        "Dead letters", "mail_off", "admin:batches_deadletter_changelist"
                    ),
                    registry.Page("Runs", "play_circle", "admin:batches_run_changelist"),
                    registry.Page("Call-backs", "webhook", "admin:batches_callback_changelist"),
                ),
            )
        )

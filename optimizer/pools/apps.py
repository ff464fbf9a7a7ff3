import atexit
import os
from multiprocessing.util import Finalize

from django.apps import AppConfig


class PoolsConfig(AppConfig):
    name = "optimizer.pools"
    verbose_name = "Connection pools"

    def ready(self) -> None:
        from optimizer.control import registry, ticker
        from optimizer.pools import checks, figures, recommendations, selectors, verify  # noqa: F401
        from optimizer.pools.engine.base import pools as engine
        from optimizer.pools.live import limits_of, pools
        from optimizer.pools.services import forks, leaks, reporter, seeds

        engine.limits_of, engine.report = limits_of, leaks.report
        engine.added = ticker.ensure
        engine.apply()  # to pools that were made before
        ticker.register(reporter.report, seconds=1.0)
        os.register_at_fork(after_in_child=forks.after_fork)
        atexit.register(forks.close)
        # Children of multiprocessing, as granian's workers are, end without atexit.
        Finalize(None, forks.close, exitpriority=0)

        registry.register(
            registry.Component(
                name="pools",
                title="Connection pools",
                description="PostgreSQL, Redis, MongoDB and HTTP, seen and resized live.",
                live=pools,
                status=selectors.status,
                router="optimizer.pools.api.router",
                seed=seeds.seed,
                verify=verify.CHECKS,
                figures=figures.FIGURES,
                recommend=recommendations.recommend,
                icon="cable",
                pages=(registry.Page("Live", "monitoring", "admin:pools_live"),),
            )
        )

"""After a fork nothing of the parent's is used: not its connections, not what it counted."""

from optimizer.pools.engine.base import pools
from optimizer.pools.services import http, reporter


def after_fork() -> None:
    """Let the child begin with no connection."""
    from django.conf import settings

    engines = {one["ENGINE"] for one in settings.DATABASES.values()}
    if "optimizer.pools.backends.postgresql" in engines:
        from optimizer.pools.backends.postgresql import base as postgresql

        postgresql.forget_after_fork()
    if "optimizer.pools.backends.mongodb" in engines:
        from optimizer.pools.backends.mongodb import base as mongodb

        mongodb.forget_after_fork()
    http.forget_after_fork()
    pools.count_anew()
    reporter.begin_anew()


def close() -> None:
    """Close the database pools at the process's end, so that no thread of theirs keeps it."""
    import sys

    module = sys.modules.get("optimizer.pools.backends.postgresql.base")
    if module is not None:
        module.close_pools()

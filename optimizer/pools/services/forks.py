"""After a fork nothing of the parent's is used: not its connections, not what it counted."""

import sys
from typing import Any

from optimizer.pools.engine.base import pools
from optimizer.pools.services import http, reporter


def after_fork() -> None:
    """Let the child begin with no connection."""
    pools.forget()
    for backend in ("postgresql", "mongodb"):
        if (module := _loaded(backend)) is not None:
            module.forget_after_fork()
    http.forget_after_fork()
    reporter.begin_anew()


def close() -> None:
    """Close the database pools at the process's end, so that no thread of theirs keeps it."""
    if (module := _loaded("postgresql")) is not None:
        module.close_pools()


def _loaded(backend: str) -> Any:
    """Return a backend's module where it is in use: a fork is no time for an import."""
    return sys.modules.get(f"optimizer.pools.backends.{backend}.base")

"""Connection pools: PostgreSQL, Redis, MongoDB and HTTP, seen and resized live.

from optimizer.pools import http, retried
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.pools.services.http import http
    from optimizer.pools.services.retrying import retried

_WHERE = {"http": "http", "retried": "retrying"}

__all__ = ["http", "retried"]


def __getattr__(name: str) -> Any:
    """Import late: Django imports this package before its apps are ready."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"optimizer.pools.services.{_WHERE[name]}"), name)

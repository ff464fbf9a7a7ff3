"""Rate limiter: token buckets in Redis, with tiers that admins change live."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratelimit.services import limiter as limiter

__all__ = ["limiter"]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before its apps are ready.
    if name == "limiter":
        from ratelimit.services import limiter

        return limiter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

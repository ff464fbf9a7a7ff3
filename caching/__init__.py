"""Cache manager: copies in the process over Redis, coherent, measured, tuned live."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caching.decorators import cached as cached
    from caching.decorators import cached_view as cached_view
    from caching.services.warmers import warms as warms

__all__ = ["cached", "cached_view", "warms"]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before its apps are ready.
    if name in ("cached", "cached_view"):
        from caching import decorators

        return getattr(decorators, name)
    if name == "warms":
        from caching.services import warmers

        return warmers.warms
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

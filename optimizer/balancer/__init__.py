"""Load balancer: distributes a bot's calls over backends, and learns from how they go."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.balancer.services import reads as reads
    from optimizer.balancer.services.balancing import balancer as balancer

__all__ = ["balancer", "reads"]


def __getattr__(name: str) -> Any:
    # Lazy, because Django imports this package before its apps are ready.
    if name == "balancer":
        from optimizer.balancer.services.balancing import balancer

        return balancer
    if name == "reads":
        from optimizer.balancer.services import reads

        return reads
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

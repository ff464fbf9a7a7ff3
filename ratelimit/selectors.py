"""What the dashboard and the API tell of the rate limiter."""

from typing import Any

from optimizer.control.redis import breaker
from ratelimit.live import ratelimit


def status() -> dict[str, Any]:
    """Return the limiter's state in this process, from memory alone."""
    settings = ratelimit.current()
    return {
        "enabled": settings.enabled,
        "default_tier": settings.default_tier.limit.name,
        "tiers": len(settings.tiers),
        "subjects": len(settings.subjects),
        "circuit_breaker": breaker.state,
    }

"""Prometheus metrics of the rate limiter; subjects never become labels."""

from functools import lru_cache

from prometheus_client import Counter

DECISIONS = Counter(
    "tuneup_ratelimit_decisions_total",
    "Decisions by tier and outcome (allowed, denied) and by who decided.",
    ("tier", "outcome", "source"),
)


@lru_cache(maxsize=512)
def _counter(tier: str, allowed: bool, source: str) -> Counter:
    return DECISIONS.labels(tier, "allowed" if allowed else "denied", source)


def count(tier: str, allowed: bool, source: str) -> None:
    """Count one decision."""
    _counter(tier, allowed, source).inc()

"""Prometheus metrics of the rate limiter; subjects never become labels."""

from prometheus_client import Counter, Gauge

DECISIONS = Counter(
    "tuneup_ratelimit_decisions_total",
    "Decisions by tier, scope and outcome (allowed, denied, shadow) and by who decided.",
    ("tier", "scope", "outcome", "source"),
)
ACCOUNTS = Gauge(
    "tuneup_ratelimit_accounts",
    "Buckets that the living processes remember, at most 10000 each.",
    multiprocess_mode="livesum",
)

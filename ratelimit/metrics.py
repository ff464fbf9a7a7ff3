"""Prometheus metrics of the rate limiter; subjects never become labels."""

from prometheus_client import Counter, Gauge

DECISIONS = Counter(
    "tuneup_ratelimit_decisions_total",
    "Decisions by tier, scope and outcome (allowed, denied, shadow) and by who decided.",
    ("tier", "scope", "outcome", "source"),
)
NEAR_LIMIT = Counter(
    "tuneup_ratelimit_near_limit_total",
    "Allowed calls that left so little that the caller was warned.",
    ("tier", "scope"),
)
ACCOUNTS = Gauge(
    "tuneup_ratelimit_accounts",
    "Buckets that the living processes remember, at most 10000 each.",
    multiprocess_mode="livesum",
)

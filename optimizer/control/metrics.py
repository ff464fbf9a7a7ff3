"""Prometheus metrics of the kernel; every gauge counts living processes alone."""

from prometheus_client import Counter, Gauge

REVISION = Gauge(
    "tuneup_settings_revision",
    "The revision that the slowest living process obeys.",
    multiprocess_mode="livemin",
)
FAILING = Gauge(
    "tuneup_settings_unreadable_components",
    "Components whose settings a process cannot read, summed over the living processes.",
    multiprocess_mode="livesum",
)
BREAKER_OPEN = Gauge(
    "tuneup_redis_circuit_breaker_open",
    "Living processes that have given Redis up for now.",
    multiprocess_mode="livesum",
)
BREAKER_OPENED = Counter(
    "tuneup_redis_circuit_breaker_opened_total", "How often a process gave Redis up."
)

"""Prometheus metrics of the load balancer. Groups and backends are few: their names are labels."""

from prometheus_client import Counter, Gauge

_NAMES = ("group", "backend")
CALLS = Counter(
    "tuneup_balancer_calls_total",
    "Calls that ended, by outcome (ok, failed, unreported).",
    (*_NAMES, "outcome"),
)
CALL_SECONDS = Counter(
    "tuneup_balancer_call_seconds_total", "What the calls that ended took together.", _NAMES
)
IN_FLIGHT = Gauge(
    "tuneup_balancer_in_flight_calls",
    "Calls under way in the living processes.",
    _NAMES,
    multiprocess_mode="livesum",
)
EWMA = Gauge(
    "tuneup_balancer_ewma_seconds",
    "The highest peak EWMA of the living processes.",
    _NAMES,
    multiprocess_mode="livemax",
)
EJECTED = Gauge(
    "tuneup_balancer_ejected_backends",
    "Backends that are ejected now, as the process sees it that keeps the figures.",
    multiprocess_mode="livemax",
)
EJECTIONS = Counter(
    "tuneup_balancer_ejections_total", "Ejections that a process decided.", (*_NAMES, "reason")
)
RETRIES = Counter("tuneup_balancer_retries_total", "Calls sent to another backend.", ("group",))
REFUSED = Counter(
    "tuneup_balancer_refused_calls_total", "Calls that no backend could take.", ("group",)
)
CHECKS = Counter(
    "tuneup_balancer_checks_total", "Active health checks, by outcome.", (*_NAMES, "outcome")
)
READS = Counter(
    "tuneup_balancer_reads_total",
    "Database reads by where they were sent, and why there.",
    ("alias", "reason"),
)
STALE_READS_AVOIDED = Counter(
    "tuneup_balancer_stale_reads_avoided_total",
    "Database reads kept from a replica that did not have what their reader wrote.",
)
READS_REDONE = Counter(
    "tuneup_balancer_reads_redone_total",
    "Database reads that a replica did not answer and the primary did.",
    ("alias",),
)
LAG = Gauge(
    "tuneup_balancer_replica_lag_seconds",
    "How old a replica's data is, as the process that sees it worst does.",
    ("alias",),
    multiprocess_mode="livemax",
)

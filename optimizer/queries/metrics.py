"""Prometheus metrics of the query optimizer; SQL and places never become labels."""

from prometheus_client import Counter, Gauge

UNITS = Counter(
    "tuneup_queries_units_total",
    "Requests, tasks and commands by kind, and whether they were watched.",
    ("kind", "watched"),
)
QUERIES = Counter("tuneup_queries_watched_total", "Queries of the watched units.")
SECONDS = Counter("tuneup_queries_watched_seconds_total", "Time that those queries took.")
FINDINGS = Counter(
    "tuneup_queries_findings_total", "Findings by kind, as often as they came.", ("kind",)
)
OWN_SECONDS = Counter("tuneup_queries_own_seconds_total", "Time that watching took.")
ERRORS = Counter(
    "tuneup_queries_errors_total", "Errors of the optimizer itself, which harmed nobody."
)
UNSENT = Counter(
    "tuneup_queries_dropped_intervals_total", "Intervals that could not be kept until Redis came."
)
SAMPLE_RATIO = Gauge(
    "tuneup_queries_sample_ratio",
    "The share of the units that the process watches least of watches.",
    multiprocess_mode="livemin",
)
# Counted once a minute by whichever worker keeps the figures.
OPEN_FINDINGS = Gauge(
    "tuneup_queries_open_findings",
    "Findings that are open, at the last count.",
    multiprocess_mode="mostrecent",
)

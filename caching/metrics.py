"""Prometheus metrics of the cache manager; keys never become labels."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "tuneup_caching_requests_total",
    "Reads by namespace and outcome: l1_hits, l2_hits, stale, misses.",
    ("namespace", "outcome"),
)
OPERATIONS = Counter(
    "tuneup_caching_operations_total",
    "What else happened by namespace: writes, deletes, invalidations, loads, failed_loads, early "
    "refreshes, stores refused as outdated, values too large, payloads unreadable.",
    ("namespace", "operation"),
)
LOAD_SECONDS = Counter("tuneup_caching_load_seconds_total", "Time that loads took.", ("namespace",))
EVICTIONS = Counter(
    "tuneup_caching_l1_evictions_total", "Copies that left for lack of room.", ("namespace",)
)
L1_BYTES = Gauge(
    "tuneup_caching_l1_bytes",
    "Bytes of copies that the living processes hold.",
    ("namespace",),
    multiprocess_mode="livesum",
)
L1_ENTRIES = Gauge(
    "tuneup_caching_l1_entries",
    "Copies that the living processes hold.",
    ("namespace",),
    multiprocess_mode="livesum",
)
STALENESS = Gauge(
    "tuneup_caching_backplane_staleness_seconds",
    "How long ago the slowest living process surely had heard all news.",
    multiprocess_mode="livemax",
)
LOSSES = Counter("tuneup_caching_backplane_losses_total", "How often news may have been missed.")
PENDING = Gauge(
    "tuneup_caching_pending_invalidations",
    "Invalidations that wait in the living processes for Redis to come back.",
    multiprocess_mode="livesum",
)

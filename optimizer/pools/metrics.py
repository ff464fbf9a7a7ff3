"""Prometheus metrics of pools. Pools are few: their names are labels."""

from prometheus_client import Counter, Gauge

from optimizer.pools.engine.statistics import Gauges, Totals

_LABELS = ("pool", "kind")
CONNECTIONS = Gauge(
    "tuneup_pools_connections",
    "Open connections of the living processes, by state.",
    (*_LABELS, "state"),
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "tuneup_pools_waiting",
    "Callers that wait for a connection in the living processes.",
    _LABELS,
    multiprocess_mode="livesum",
)
COUNTERS = {
    "acquired": Counter("tuneup_pools_acquired_total", "Check-outs.", _LABELS),
    "queued": Counter("tuneup_pools_queued_total", "Check-outs that had to wait.", _LABELS),
    "timeouts": Counter("tuneup_pools_timeouts_total", "Callers that waited in vain.", _LABELS),
    "created": Counter("tuneup_pools_created_total", "Connections that were made.", _LABELS),
    "closed": Counter("tuneup_pools_closed_total", "Connections that were closed.", _LABELS),
    "errors": Counter("tuneup_pools_errors_total", "Connections that could not be made.", _LABELS),
    "lost": Counter("tuneup_pools_lost_total", "Connections that were found broken.", _LABELS),
    "leaked": Counter("tuneup_pools_leaked_total", "Connections held for too long.", _LABELS),
    "wait_seconds": Counter(
        "tuneup_pools_wait_seconds_total", "Time that callers waited for connections.", _LABELS
    ),
    "use_seconds": Counter(
        "tuneup_pools_use_seconds_total", "Time that connections were held.", _LABELS
    ),
    "connect_seconds": Counter(
        "tuneup_pools_connect_seconds_total", "Time that making connections took.", _LABELS
    ),
}


def tell(alias: str, kind: str, gauges: Gauges, news: Totals) -> None:
    """Set the gauges of a pool and add what happened since the last time."""
    CONNECTIONS.labels(alias, kind, "idle").set(gauges.idle)
    CONNECTIONS.labels(alias, kind, "in_use").set(gauges.in_use)
    WAITING.labels(alias, kind).set(gauges.waiting)
    for name, counter in COUNTERS.items():
        if (number := getattr(news, name)) > 0:
            counter.labels(alias, kind).inc(number)

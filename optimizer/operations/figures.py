"""The figures of operations: requests over all web processes, and what is not ready."""

from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures
from optimizer.operations import health, metrics
from optimizer.operations.engine.quantile import quantile_of
from optimizer.operations.services import http_counts
from optimizer.operations.services.http_counts import (
    BUCKET_NAME,
    ERRORS_NAME,
    PROBES,
    REQUESTS_NAME,
)

_SECONDS = 60
_SHARE = 0.95


def read() -> dict[str, float]:
    """Return the requests of the last minute, and the checks of /ready that fail."""
    failing = sum(bool(one.error) for one in health.readiness()[1])
    metrics.FAILING_CHECKS.set(failing)
    found = {"failing_checks": float(failing)}
    try:
        counts = http_counts.reporter.series.totals(_SECONDS)
    except RedisAway:
        return found
    requests = counts[REQUESTS_NAME]
    found["requests_per_second"] = requests / _SECONDS
    if requests:
        found["server_error_percent"] = 100 * counts[ERRORS_NAME] / requests
    buckets = {
        float(name.removeprefix(BUCKET_NAME)): count
        for name, count in counts.items()
        if name.startswith(BUCKET_NAME)
    }
    if (slow := quantile_of(buckets, _SHARE)) is not None:
        found["request_p95_seconds"] = slow
    return found


_OURS = f'route!~"{"|".join(PROBES)}"'
_REQUESTS = f"sum(rate(tuneup_http_requests_total{{{_OURS}}}[1m]))"
FIGURES = Figures(
    (
        Figure("requests_per_second", "Requests", "a second", _REQUESTS),
        Figure(
            "server_error_percent",
            "Requests that failed (5xx)",
            "%",
            f'100 * (sum(rate(tuneup_http_requests_total{{{_OURS}, status=~"5.."}}[1m]))'
            f" or vector(0)) / {_REQUESTS}",
            better="less",
        ),
        Figure(
            "request_p95_seconds",
            "Time of a request (p95)",
            "seconds",
            f"histogram_quantile({_SHARE}, sum by (le) "
            f"(rate(tuneup_http_request_duration_seconds_bucket{{{_OURS}}}[1m])))",
            better="less",
        ),
        Figure(
            "failing_checks",
            "Checks of /ready that fail",
            "checks",
            "max(tuneup_operations_failing_checks)",
            better="less",
        ),
    ),
    read,
)

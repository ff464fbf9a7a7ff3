"""The figures of the load balancer that are kept each minute."""

from optimizer.balancer import metrics
from optimizer.balancer.selectors import states
from optimizer.balancer.services import reporter
from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures

_SECONDS = 60


def read() -> dict[str, float]:
    """Return who is ejected now, and the calls of the last minute."""
    found = {"ejected_backends": float(states.status()["ejected"])}
    metrics.EJECTED.set(found["ejected_backends"])
    try:
        counts = reporter.series.totals(_SECONDS)
    except RedisAway:
        return found
    ended = {
        what: sum(count for name, count in counts.items() if name.endswith(f"/{what}"))
        for what in (reporter.OK, reporter.FAILED)
    }
    calls = sum(ended.values())
    found["calls_per_second"] = calls / _SECONDS
    if calls:
        found["failed_percent"] = 100 * ended[reporter.FAILED] / calls
    return found


_CALLS = 'sum(rate(tuneup_balancer_calls_total{outcome=~"ok|failed"}[1m]))'
FIGURES = Figures(
    (
        Figure("calls_per_second", "Balanced calls", "a second", _CALLS),
        Figure(
            "failed_percent",
            "Balanced calls that failed",
            "%",
            '100 * (sum(rate(tuneup_balancer_calls_total{outcome="failed"}[1m]))'
            f" or vector(0)) / {_CALLS}",
            better="less",
        ),
        Figure(
            "ejected_backends",
            "Ejected backends",
            "backends",
            "max(tuneup_balancer_ejected_backends)",
            better="less",
        ),
    ),
    read,
)

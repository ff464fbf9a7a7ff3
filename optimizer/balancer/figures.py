"""The figures of the load balancer that are kept each minute."""

from django.conf import settings

from optimizer.balancer import metrics
from optimizer.balancer.selectors import states
from optimizer.balancer.services import reporter
from optimizer.balancer.services.reads import statistics as reads
from optimizer.balancer.services.reads.readers import PRIMARY
from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures

_SECONDS = 60


def read() -> dict[str, float]:
    """Return who is ejected now, and the calls and reads of the last minute."""
    found = {"ejected_backends": float(states.status()["ejected"])}
    metrics.EJECTED.set(found["ejected_backends"])
    try:
        counts, on_replicas = reporter.series.totals(_SECONDS), _reads()
    except RedisAway:
        return found
    found |= on_replicas
    ended = {
        what: sum(count for name, count in counts.items() if name.endswith(f"/{what}"))
        for what in (reporter.OK, reporter.FAILED)
    }
    calls = sum(ended.values())
    found["calls_per_second"] = calls / _SECONDS
    if calls:
        found["failed_percent"] = 100 * ended[reporter.FAILED] / calls
    return found


def _reads() -> dict[str, float]:
    """Return the share of reads that replicas answered; nothing where there are no replicas."""
    counts = reads.series.totals(_SECONDS) if settings.DATABASE_REPLICAS else {}
    by_alias = {
        alias: sum(count for name, count in counts.items() if name.startswith(f"{alias}|"))
        for alias in (*settings.DATABASE_REPLICAS, PRIMARY)
    }
    total = sum(by_alias.values())
    if not total:
        return {}
    return {"replica_reads_percent": 100 * (1 - by_alias[PRIMARY] / total)}


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
            "replica_reads_percent",
            "Database reads on replicas",
            "%",
            f'100 * sum(rate(tuneup_balancer_reads_total{{alias!="{PRIMARY}"}}[1m]))'
            " / sum(rate(tuneup_balancer_reads_total[1m]))",
            better="more",
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

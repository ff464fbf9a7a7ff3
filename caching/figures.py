"""The figures of the cache that are kept each minute."""

from caching.selectors import overview
from caching.services import reporter
from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures

_SECONDS = 60


def read() -> dict[str, float]:
    """Return the figures of the last minute; without reads there is no share of hits."""
    try:
        counts = reporter.series.totals(_SECONDS)
        used_bytes = sum(one.used_bytes for one in overview().processes)
    except RedisAway:
        return {}
    reads = counts.total()
    misses = sum(count for name, count in counts.items() if name.startswith("misses|"))
    found = {"reads_per_second": reads / _SECONDS, "l1_bytes": float(used_bytes)}
    if reads:
        found["hit_percent"] = 100 * (1 - misses / reads)
    return found


_READS = "sum(rate(tuneup_caching_requests_total[1m]))"
FIGURES = Figures(
    (
        Figure(
            "hit_percent",
            "Cache hits",
            "%",
            f'100 - 100 * (sum(rate(tuneup_caching_requests_total{{outcome="misses"}}[1m]))'
            f" or vector(0)) / {_READS}",
            better="more",
        ),
        Figure("reads_per_second", "Cache reads", "a second", _READS),
        Figure("l1_bytes", "Copies in the processes", "bytes", "sum(tuneup_caching_l1_bytes)"),
    ),
    read,
)

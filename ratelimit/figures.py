"""The figures of the rate limiter that are kept each minute."""

from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures
from ratelimit.services.reporter import series

_SECONDS = 60


def read() -> dict[str, float]:
    """Return the figures of the last minute; without calls there is no share of denials."""
    try:
        counts = series.totals(_SECONDS)
    except RedisAway:
        return {}
    calls = counts.total()
    denied = sum(count for name, count in counts.items() if name.startswith("denied|"))
    found = {"decisions_per_second": calls / _SECONDS}
    if calls:
        found["denied_percent"] = 100 * denied / calls
    return found


_DECISIONS = "sum(rate(tuneup_ratelimit_decisions_total[1m]))"
FIGURES = Figures(
    (
        Figure("decisions_per_second", "Decisions", "a second", _DECISIONS),
        Figure(
            "denied_percent",
            "Calls denied",
            "%",
            '100 * (sum(rate(tuneup_ratelimit_decisions_total{outcome="denied"}[1m]))'
            f" or vector(0)) / {_DECISIONS}",
            better="less",
        ),
    ),
    read,
)

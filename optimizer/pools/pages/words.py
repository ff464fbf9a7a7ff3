"""How pools are told: colours, badges, gauges and charts."""

from time import time
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from optimizer.control.charts import Bar, Bars, Chart, Line
from optimizer.control.series import SLOT_SECONDS
from optimizer.control.units import format_duration
from optimizer.measures.histogram import bounds_of
from optimizer.pools.engine.statistics import percentile
from optimizer.pools.live import pools
from optimizer.pools.models.pool import is_pooled
from optimizer.pools.selectors import Pool
from optimizer.pools.selectors.activity import Hour

_BUCKETS_OF_A_BAR = 4  # so that each bar is twice as long as the one before
KINDS = {
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "redis": "Redis",
    "mongodb": "MongoDB",
    "http": "HTTP",
}


def state_of(pool: Pool) -> tuple[str, str, str]:
    """Return a pool's state, its colour, and why it is so."""
    gauges, recent = pool.gauges, pool.recent
    if pool.limits.suspended_until > time():
        left = format_duration(round(pool.limits.suspended_until - time()))
        return "suspended", "pink", f"for {left} more no connection is handed out"
    if not is_pooled(pool.alias, pool.kind):
        return "no pool", "quiet", "each thread keeps a connection of its own"
    if not pool.processes:
        return "unused", "quiet", "no living process has opened it"
    if recent.timeouts:
        return "exhausted", "bad", f"{recent.timeouts} callers waited in vain in the last minute"
    if recent.errors and not gauges.size:
        return "away", "bad", "its server cannot be reached"
    if gauges.waiting or recent.queued > recent.acquired * 0.01 + pool.totals.created:
        return "callers wait", "wait", f"{recent.queued} waited in the last minute"
    return "well", "ok", "nobody waits"


def badge(pool: Pool) -> SafeString:
    """Return a pool's state as a coloured label."""
    state, colour, because = state_of(pool)
    return format_html(
        '<span class="tu-state tu-plain {}" title="{}">{}</span>', colour, because, state
    )


def percent(part: float, whole: float) -> int:
    """Return a part in per cent, 100 at most."""
    return min(100, round(100 * part / whole)) if whole else 0


def gauge(pool: Pool) -> SafeString:
    """Return how full a pool is, as a bar with a text below."""
    gauges = pool.gauges
    filled = percent(gauges.in_use, pool.most)
    text = f"{gauges.in_use} in use, {gauges.idle} idle, {pool.most} at most"
    return format_html(
        '<div class="tu-bar tu-thin" role="meter" aria-valuenow="{0}" aria-valuemin="0" '
        'aria-valuemax="100" aria-label="{2}"><span class="{1}" style="width: {0}%"></span></div>'
        '<span class="tu-muted">{2}</span>',
        filled, fullness_colour(filled), text,
    )  # fmt: skip


def fullness_colour(filled: int) -> str:
    """Return the colour of a bar that must not be full."""
    return "bad" if filled >= 95 else "wait" if filled >= 75 else "ok"


def server_colour(filled: int) -> str:
    """Return the colour of what all processes may open of what the server takes."""
    return "bad" if filled > 100 else "wait" if filled > pools.current().warn_percent else "ok"


def connections_chart(hour: Hour) -> Chart:
    """Return a pool's connections in the last hour."""
    lines = [
        Line("in use", "plain", _mean(hour.counts["in_use"])),
        Line("idle", "quiet", _mean(hour.counts["idle"])),
    ]
    return Chart("Connections in the last hour", "connections", hour.times, lines)


def check_outs_chart(hour: Hour) -> Chart:
    """Return a pool's check-outs in the last hour."""
    counts = hour.counts
    at_once = [max(0, n - q) for n, q in zip(counts["acquired"], counts["queued"], strict=True)]
    waited = [max(0, q - t) for q, t in zip(counts["queued"], counts["timeouts"], strict=True)]
    lines = [
        Line("at once", "ok", _mean(at_once)),
        Line("after a wait", "wait", _mean(waited)),
        Line("in vain", "bad", _mean(counts["timeouts"])),
    ]
    return Chart("Check-outs in the last hour", "a second", hour.times, lines)


def _mean(sums: list[int]) -> list[float]:
    return [number / SLOT_SECONDS for number in sums]


def spread(title: str, counts: dict[int, int], unit: str) -> Bars:
    """Return how durations are spread."""
    bars: dict[int, int] = {}
    for bucket, count in counts.items():
        # Bucket 0 is all that is below the shortest.
        at = max(0, bucket - 1) // _BUCKETS_OF_A_BAR
        bars[at] = bars.get(at, 0) + count
    span = range(min(bars), max(bars) + 1) if bars else range(0)
    drawn = [Bar(f"≤ {_upper(at)}", bars.get(at, 0)) for at in span]
    return Bars(title, unit, drawn)


def _upper(at: int) -> str:
    end = bounds_of(min(at * _BUCKETS_OF_A_BAR + _BUCKETS_OF_A_BAR, 108))[1]
    return format_duration(float(f"{end:.2g}"))


def timing(counts: dict[int, int], **named: Any) -> dict[str, Any]:
    """Return what a page shows of durations: the bars and percentiles."""
    return {**named, **{f"p{at}": percentile(counts, at / 100) for at in (50, 95, 99)}}

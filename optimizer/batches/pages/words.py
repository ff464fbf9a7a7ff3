"""How jobs and runs are told: colours, badges, bars and charts."""

from collections.abc import Sequence
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from optimizer.batches.selectors import Progress
from optimizer.batches.selectors.activity import Hour
from optimizer.batches.selectors.promises import Promise
from optimizer.control.charts import Bar, Bars, Chart, Line
from optimizer.control.series import SLOT_SECONDS
from optimizer.control.templatetags.tuneup import count
from optimizer.control.units import format_duration

_SLOWEST_SHOWN = 0.05  # items a second
STATE_COLOURS = {
    "working": "ok",
    "idle": "quiet",
    "paused": "quiet",
    "waiting": "wait",
    "stopped": "bad",
    "full": "pink",
}
STATE_WORDS = {
    "working": "working",
    "idle": "idle",
    "paused": "paused",
    "waiting": "waits after trouble",
    "stopped": "stopped",
    "full": "full",
}
RUN_COLOURS = {"running": "plain", "done": "ok", "failed": "bad", "skipped": "quiet"}
OUTCOME_COLOURS = {"done": "ok", "again": "wait", "failed": "bad"}
OUTCOME_WORDS = {"done": "applied", "again": "to be tried again", "failed": "dead letters"}
REASON_WORDS = {
    "size": "size: it was full",
    "bytes": "bytes: it was full",
    "age": "age: an item had waited long enough",
    "idle": "idle: nothing more came",
    "shutdown": "shutdown of a worker",
    "run": "a run took all",
}


def badge(title: str, colour: str) -> SafeString:
    """Return a coloured label."""
    return format_html('<span class="tu-state tu-plain {}">{}</span>', colour, title)


def bar(fraction: float, colour: str, label: str) -> SafeString:
    """Return a progress bar of a fraction from 0 to 1, with a text below."""
    percent = round(100 * min(1.0, max(0.0, fraction)))
    return format_html(
        '<div class="tu-bar tu-thin" role="progressbar" aria-valuenow="{0}" aria-valuemin="0" '
        'aria-valuemax="100" aria-label="{2}"><span class="{1}" style="width: {0}%"></span></div>'
        '<span class="tu-muted">{2}</span>',
        percent, colour, label,
    )  # fmt: skip


def promise_badge(promise: Promise) -> SafeString:
    """Return what a job promises, as a label with the reason."""
    colour = {"exactly once": "ok", "at least once": "plain"}.get(promise.kind, "wait")
    return format_html(
        '<span class="tu-state tu-plain {}" title="{}">{}</span>',
        colour, promise.why, promise.kind or "unknown here",
    )  # fmt: skip


def rate_text(per_second: float) -> str:
    """Return a rate as people read it."""
    if per_second < _SLOWEST_SHOWN:
        return "—"
    number = f"{per_second:.1f}" if per_second < 10 else count(round(per_second))
    return f"{number} a second"


def eta_text(found: Progress) -> str:
    """Return the time to go; none is told where nothing moves."""
    moves = found.state == "working" and found.rate_per_second >= _SLOWEST_SHOWN
    if found.eta_seconds is None or not moves:
        return "—"
    return format_duration(max(1.0, float(round(found.eta_seconds))))


def letters_url(job_id: int) -> str:
    """Return where a job's dead letters are listed."""
    address = reverse("admin:batches_deadletter_changelist")
    return f"{address}?{urlencode({'job__id__exact': job_id})}"


def hour_chart(hour: Hour, title: str) -> Chart:
    """Return what became of items in the last hour."""
    lines = [
        Line(OUTCOME_WORDS[one], colour, [number / SLOT_SECONDS for number in hour.counts[one]])
        for one, colour in OUTCOME_COLOURS.items()
    ]
    return Chart(title, "items a second", hour.times, lines)


def latency_chart(bars: Sequence[tuple[float, int]]) -> Bars:
    """Return how chunks' durations are spread."""
    drawn = [Bar(f"≤ {format_duration(float(f'{top:.2g}'))}", number) for top, number in bars]
    return Bars("How long chunks took", "chunks", drawn)


def reasons(flushes: dict[str, int]) -> list[dict[str, Any]]:
    """Return why chunks were written, the most frequent first, with bars."""
    most = max(flushes.values(), default=0) or 1
    ordered = sorted(flushes.items(), key=lambda one: -one[1])
    return [
        {
            "title": REASON_WORDS.get(name, name),
            "count": number,
            "percent": round(100 * number / most),
        }
        for name, number in ordered
    ]

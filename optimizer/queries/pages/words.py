"""How findings and queries are told: their colours, sentences, and SQL that a person can read."""

import re
from functools import lru_cache
from glob import escape
from math import isinf
from typing import Any

import sqlparse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from optimizer.control.charts import Bar, Bars, Chart, Line
from optimizer.control.units import format_duration
from optimizer.queries.models import Finding
from optimizer.queries.selectors import Hour, Spread

COLOURS = {
    "n_plus_one": "bad",
    "write_n_plus_one": "wait",
    "duplicate": "plain",
    "unused_eager_load": "teal",
    "slow": "pink",
    "review": "quiet",
}
PLACELESS = "place unknown"  # no code but libraries' was on the stack
STATE_COLOURS = {"open": "wait", "ignored": "quiet", "fixed": "ok"}
PERIODS = {1: "hour", 24: "24 hours", 168: "7 days"}
_MOST_FORMATTED = 6000  # characters: the parser takes a second for some hundred thousand
_LONGEST_PATTERN = 200
_COLUMNS = re.compile(r"\A\s*SELECT (?:DISTINCT )?[^?]{40,}? FROM ", re.IGNORECASE)
_MANY = re.compile(r"(?:%s, ?){7,}%s")


def badge(kind: str, title: str, colours: dict[str, str] = COLOURS) -> SafeString:
    """Return a coloured label."""
    colour = colours.get(kind, "quiet")
    return format_html('<span class="tu-state tu-plain {}">{}</span>', colour, title)


def sentence(finding: Finding, slow_seconds: float) -> str:
    """Return what a finding is, in plain words."""
    most, kind = finding.count, Finding.Kind
    return {
        kind.N_PLUS_ONE: f"The same query runs once for each row: up to {most} times in one unit. "
        "One query could fetch all of them.",
        kind.WRITE_N_PLUS_ONE: f"Rows are written one by one: up to {most} statements in one unit. "
        "One statement could write many.",
        kind.DUPLICATE: f"The same query with the same values runs up to {most} times in one unit. "
        "Its first answer could be kept.",
        kind.UNUSED_EAGER_LOAD: "Related rows are loaded along, and no unit has read them so far. "
        "Leave them out.",
        kind.SLOW: f"Single queries take longer than {format_duration(slow_seconds)}, which is the "
        "limit now.",
        kind.REVIEW: f"The query repeats up to {most} times in one unit, which may be meant: it "
        "locks rows, or each one needs the answer before. Look whether it must.",
    }.get(kind(finding.kind), "")


def fix_of(finding: Finding) -> tuple[str, str]:
    """Return the code of a finding's fix, and the line that it belongs to."""
    code, _, line = finding.suggestion.rpartition("  # ")
    if not code:
        code, line = finding.suggestion, ""
    return code, line or finding.queryset_location or finding.location


@lru_cache(maxsize=256)
def readable(sql: str) -> str:
    """Return SQL with its clauses on lines of their own; a long list of values is shortened."""
    shorter = _MANY.sub("%s, … %s", sql)
    if len(shorter) > _MOST_FORMATTED:
        return shorter
    try:
        formatted = sqlparse.format(shorter, reindent=True, keyword_case="upper", wrap_after=100)
    except Exception:  # it is no parser of every dialect, and gives up where nesting is deep
        return shorter
    return str(formatted)


def shortened(sql: str, most: int = 140) -> str:
    """Return SQL for a list: without its columns where those are many, and without quotes."""
    short = _COLUMNS.sub("SELECT … FROM ", sql[:4000]).replace('"', "")
    return short if len(short) <= most else f"{short[: most - 1]}…"


def hours_chart(hours: list[Hour], title: str) -> Chart:
    """Return a query's calls by the hour, those of an N+1 apart."""
    n_plus_one = [min(one.calls, one.n_plus_one) for one in hours]
    others = [one.calls - part for one, part in zip(hours, n_plus_one, strict=True)]
    lines = [Line("calls", "plain", others)]
    if any(n_plus_one):
        lines = [Line("in an N+1", "bad", n_plus_one), Line("others", "plain", others)]
    times = [int(one.hour.timestamp()) for one in hours]
    return Chart(title, "an hour", times, lines, "H:i" if len(hours) <= 24 else "j M H:i")


def spread_bars(spread: list[Spread]) -> Bars:
    """Return how a query's durations are spread, each bar twice as long as the one before."""
    bars = [Bar(_up_to(one), one.calls) for one in spread]
    return Bars("How long its calls took", "calls", bars)


def _up_to(spread: Spread) -> str:
    if isinf(spread.to_seconds):
        return f"≥ {format_duration(spread.from_seconds)}"
    return f"< {format_duration(float(f'{spread.to_seconds:.2g}'))}"


def ignore_url(what: str, value: str) -> str:
    """Return where a pattern is added that fits this value alone."""
    pattern = escape(value)
    if len(pattern) > _LONGEST_PATTERN:
        pattern = f"{escape(value[: _LONGEST_PATTERN // 3])[: _LONGEST_PATTERN - 1]}*"
    query = urlencode({"what": what, "pattern": pattern})
    return f"{reverse('admin:queries_ignorerule_add')}?{query}"


def period_of(given: str) -> int:
    """Return the hours that an address asks for, 24 where it asks for none that is offered."""
    return int(given) if given.isdecimal() and len(given) < 4 and int(given) in PERIODS else 24


def links(current: Any, choices: dict[Any, str], name: str, kept: dict[str, Any]) -> list[Any]:
    """Return choices as links: title, query string, and whether it is the present one."""
    return [
        (title, urlencode({**kept, name: value} if value else kept), value == current)
        for value, title in choices.items()
    ]

"""A review as people read it: one set of words for the page, the mail and the command."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse

from optimizer.control import registry
from optimizer.control.recommendations import Bar, Place
from optimizer.control.units import format_duration, format_measured
from optimizer.operations.engine.effect import Verdict
from optimizer.operations.live import operations
from optimizer.operations.services.review_content import Advice, Change, Review


@dataclass(frozen=True, slots=True)
class Row:
    """A change in words."""

    title: str
    component: str
    before: str
    after: str
    change: str
    verdict: Verdict
    detail: str
    url: str
    before_percent: float  # of the larger of both
    after_percent: float


@dataclass(frozen=True, slots=True)
class Item:
    """A recommendation in words; `fields` are what its button posts to `post_url`."""

    component: str
    title: str
    reason: str
    note: str
    url: str
    bars: tuple[Bar, ...]
    is_new: bool
    is_fine: bool
    button: str
    post_url: str
    fields: dict[str, str]


def url_of(place: Place | None, site: str = "") -> str:
    """Return a page's address; "" for none, and for one that is no longer there."""
    if place is None:
        return ""
    try:
        address = reverse(place.url_name, args=place.args)
    except NoReverseMatch:  # a review of an earlier version
        return ""
    return f"{site}{address}{f'?{place.query}' if place.query else ''}"


def headline(review: Review) -> str:
    """Return what matters in one line: "2 worse, 1 better, 3 recommendations"."""
    to_do = len(review.to_do)
    return (
        f"{len(review.worse)} worse, {len(review.better)} better, "
        f"{to_do} recommendation{'' if to_do == 1 else 's'}"
    )


def words(review: Review, site: str = "") -> dict[str, Any]:
    """Return everything that the templates show; addresses begin with `site`."""
    return {
        "review": review,
        "headline": headline(review),
        "worse": [row(one, site) for one in review.worse],
        "better": [row(one, site) for one in review.better],
        "figures": [row(one, site) for one in review.figures],
        "measures": [row(one, site) for one in review.measures],
        "endpoints": [row(one, site) for one in review.endpoints],
        "advice": [item(review, one, site) for one in review.advice],
        "edits": [
            (one, url_of(Place("admin:control_revision_change", (one.number,)), site))
            for one in review.edits
        ],
        "more_edits": review.edit_count - len(review.edits),
        "alerts": [(one, format_duration(one.seconds)) for one in review.alerts],
    }


def row(change: Change, site: str = "") -> Row:
    """Return a change in words."""
    most = max(abs(change.before or 0.0), abs(change.after or 0.0)) or 1.0
    return Row(
        change.title,
        change.component,
        _amount(change.before, change.unit),
        _amount(change.after, change.unit),
        "" if change.percent is None else f"{change.percent:+.0f} %",
        change.verdict,
        change.detail,
        url_of(change.place, site),
        100 * abs(change.before or 0.0) / most,
        100 * abs(change.after or 0.0) / most,
    )


def item(review: Review, advice: Advice, site: str = "") -> Item:
    """Return a recommendation in words."""
    of = advice.of
    title = {one.name: one.title for one in registry.components()}.get(advice.component, "")
    return Item(
        title or advice.component,
        of.title,
        of.reason,
        "new" if review.is_new(advice) else f"since {_day(advice.since)}",
        url_of(of.place, site),
        of.bars,
        review.is_new(advice),
        of.is_fine,
        of.button.title if of.button else "",
        url_of(of.button.place) if of.button else "",
        dict(of.button.fields) if of.button else {},
    )


def _amount(value: float | None, unit: str) -> str:
    return "—" if value is None else format_measured(value, unit)


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def span_of(review: Review) -> str:
    """Return the time that a review is of: "23 to 30 November 2026"."""
    begin, end = review.begin, review.end
    first = f"{begin.day} {begin:%B}" if (begin.month, begin.year) != (end.month, end.year) else (
        f"{begin.day}"
    )  # fmt: skip
    return f"{first} to {_day(end)}"


def as_markdown(review: Review) -> str:
    """Return a review as Markdown."""
    told, lines = words(review, operations.current().site_url), []
    lines += [f"# Performance review, {span_of(review)}", "", f"{told['headline']}.", ""]
    if review.missing:
        lines += [f"Nothing could be told of: {', '.join(review.missing)}.", ""]
    for title, rows in (("Worse", told["worse"]), ("Better", told["better"])):
        if rows:
            lines += [f"## {title}", "", *_table(rows), ""]
    lines += ["## Recommendations", ""]
    lines += [line for one in told["advice"] for line in _bullet(one)] or ["None."]
    lines += [f"- Settled: {_flat(title)}" for _, title in review.settled]
    lines += ["", "## Alerts", ""] if review.alerts else []
    lines += [
        f"- {one.name} ({one.severity}): {one.times} time{'s' * (one.times != 1)}, {lasted}"
        f"{', still fires' if one.firing else ''}"
        for one, lasted in told["alerts"]
    ]
    if review.edits:
        lines += ["", f"## Settings: {review.edit_count} changes", ""]
        lines += [
            f"- #{one.number} {one.component}, {one.at:%Y-%m-%d %H:%M} "
            f"by {one.actor or 'a command'}{f': {one.reason}' if one.reason else ''}"
            for one, _ in told["edits"]
        ]
    for title, rows in (
        ("Figures", told["figures"]),
        ("Queries", told["measures"]),
        ("Baselines", told["endpoints"]),
    ):
        if rows:
            lines += ["", f"## {title}", "", *_table(rows)]
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: list[Row]) -> list[str]:
    head = ["| | before | now | change |", "|---|---:|---:|---:|"]
    return head + [
        f"| {_cell(f'{one.component}: {one.title}')} | {one.before} | {one.after} | "
        f"{one.change}{f' {one.verdict}' if one.verdict in ('worse', 'better') else ''} |"
        for one in rows
    ]


def _cell(text: str) -> str:
    return _flat(text).replace("|", "\\|")


def _flat(text: str) -> str:
    """Return a text as one line: what people have named may hold others."""
    return " ".join(text.split())


def _bullet(one: Item) -> list[str]:
    title, reason = _flat(one.title), _flat(one.reason)
    name = f"[{title}]({one.url})" if one.url.startswith("http") else title
    lines = [f"- **{name}** ({one.component}, {'fine' if one.is_fine else one.note}): {reason}"]
    if one.bars:
        shown = (
            f"{bar.label}: {bar.percent:.0f} %{'' if bar.kind == 'other' else f' ({bar.kind})'}"
            for bar in one.bars
        )
        lines.append(f"  {'; '.join(shown)}")
    return lines


def as_html(review: Review) -> str:
    """Return a review as the HTML of a mail."""
    context = words(review, operations.current().site_url) | {"span": span_of(review)}
    return render_to_string("tuneup/operations_review_mail.html", context)

"""Two baselines side by side: what was faster, what grew, what has got worse."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from optimizer.operations.baselines.files import Baseline

Measure = Literal["p50_ms", "p95_ms", "p99_ms", "mean_ms"]
MEASURES: tuple[Measure, ...] = ("p50_ms", "p95_ms", "p99_ms", "mean_ms")
REGRESSION_PERCENT = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both; less is better. `improvement_percent` is None where it has no sense."""

    name: str
    before: float | None
    after: float | None
    unit: str
    improvement_percent: float | None
    worse: bool = False


def compare(
    before: Baseline,
    after: Baseline,
    *,
    measure: Measure = "p50_ms",
    regression_percent: float = REGRESSION_PERCENT,
) -> list[Line]:
    """Return the lines; an endpoint is worse past the threshold, or with more errors."""
    lines = []
    for path in [
        *before.endpoints,
        *(one for one in after.endpoints if one not in before.endpoints),
    ]:
        one, two = before.endpoints.get(path), after.endpoints.get(path)
        was = getattr(one, measure) if one and one.requests else None
        became = getattr(two, measure) if two and two.requests else None
        lines.append(_line(path, was, became, "ms", regression_percent))
        if one and two and one.errors != two.errors:
            more = two.errors > one.errors
            lines.append(Line(f"{path} errors", one.errors, two.errors, "", None, worse=more))
        if one and two and one.queries_per_request != two.queries_per_request:
            lines.append(
                _line(f"{path} queries", one.queries_per_request, two.queries_per_request, "")
            )
    held = sum(before.memory_bytes.values()), sum(after.memory_bytes.values())
    if all(held):
        lines.append(_line("memory", held[0] / 2**20, held[1] / 2**20, "MiB"))
    connections = (before.redis_connections, after.redis_connections)
    if None not in connections:
        lines.append(Line("Redis connections", *connections, "", None))
    if None not in (before.database_connections, after.database_connections):
        lines.append(
            Line(
                "database connections",
                before.database_connections,
                after.database_connections,
                "",
                None,
            )
        )
    if before.test_suite_seconds and after.test_suite_seconds:
        lines.append(_line("test suite", before.test_suite_seconds, after.test_suite_seconds, "s"))
    return lines


def _line(
    name: str,
    before: float | None,
    after: float | None,
    unit: str,
    regression_percent: float | None = None,
) -> Line:
    if not before or after is None:
        lost = regression_percent is not None and before is not None and after is None
        return Line(name, before, after, unit, None, worse=lost)
    percent = 100 * (1 - after / before)
    worse = regression_percent is not None and percent < -regression_percent
    return Line(name, before, after, unit, percent, worse)


def as_table(lines: Sequence[Line]) -> str:
    """Return the lines for a terminal."""
    rows = [("", "before", "after", "improvement"), *map(_words, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(one.rjust(width) for one, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )


def as_markdown(lines: Sequence[Line]) -> str:
    """Return the lines for a page or a pull request."""
    head = "| | before | after | improvement |\n|---|---:|---:|---:|\n"
    return head + "\n".join(f"| {' | '.join(_words(one))} |" for one in lines)


def as_json(lines: Sequence[Line]) -> str:
    """Return the lines for a program."""
    return json.dumps([asdict(one) for one in lines], indent=1)


FORMATS = {"table": as_table, "markdown": as_markdown, "json": as_json}


def _words(line: Line) -> tuple[str, str, str, str]:
    note = "worse" if line.worse else ""
    if line.improvement_percent is not None:
        note = f"{line.improvement_percent:+.0f} %{f' {note}' if note else ''}"
    return line.name, _amount(line.before, line.unit), _amount(line.after, line.unit), note


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    text = f"{value:.2f}" if unit == "ms" else f"{value:.1f}".removesuffix(".0")
    return f"{text} {unit}".strip()

"""Findings as people and programs read them: a table, JSON, GitHub's annotations, a test's report.

Texts come from programs and bots: what could steer a terminal or a workflow is made harmless.
"""

from collections.abc import Iterable, Sequence

import msgspec

VERSION = 1
_SQL_WIDTH = 120
_FIX_WIDTH = 200
_MOST_UNITS = 10


class Told(msgspec.Struct, frozen=True):
    """A finding as it is shown: `count` queries at a place, and the time that they lose."""

    kind: str
    location: str  # path:line, "" where nobody knows
    suggestion: str
    queryset_location: str
    count: int
    lost_seconds: float
    sql: str
    fingerprint: str
    units: list[str] = []

    @property
    def path(self) -> str:
        """The file."""
        return _place(self.location)[0]

    @property
    def line(self) -> int | None:
        """The line in the file, None where it is not known."""
        return _place(self.location)[1]


class Results(msgspec.Struct):
    """What the pytest plugin writes: how many tests it watched, and what they did."""

    version: int = VERSION
    tests: int = 0
    findings: list[Told] = []


class Source(msgspec.Struct, frozen=True):
    """What was analysed; `kind` is url, command, test or database."""

    kind: str
    name: str = ""


def _place(location: str) -> tuple[str, int | None]:
    path, _, line = location.rpartition(":")
    return (path, int(line)) if path and line.isdecimal() else (location, None)


def merged(findings: Iterable[Told]) -> list[Told]:
    """Return findings with those of one place together, what loses most first."""
    found: dict[tuple[str, str, str], Told] = {}
    for one in findings:
        key = (one.kind, one.fingerprint, one.location)
        known = found.get(key)
        found[key] = one if known is None else _both(known, one)
    return sorted(found.values(), key=lambda one: -one.lost_seconds)


def _both(one: Told, other: Told) -> Told:
    return msgspec.structs.replace(
        one,
        count=max(one.count, other.count),
        lost_seconds=one.lost_seconds + other.lost_seconds,
        units=list(dict.fromkeys([*one.units, *other.units]))[:_MOST_UNITS],
    )


def one_line(text: str, most: int) -> str:
    """Return a text on one line of so many characters, with nothing that is not printable."""
    line = " ".join(text.split())
    line = "".join(one if one.isprintable() else "?" for one in line)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def as_table(findings: Sequence[Told]) -> str:
    """Return findings for people."""
    if not findings:
        return "No findings."
    width = max(len("WHERE"), *(len(one_line(one.location, 100)) for one in findings))
    lines = [f"{'KIND':<18}{'COUNT':>7}{'LOST s':>10}  {'WHERE':<{width}}".rstrip()]
    for one in findings:
        where = one_line(one.location, 100) or "(unknown)"
        lines.append(f"{one.kind:<18}{one.count:>7}{one.lost_seconds:>10.4f}  {where}")
        lines += [f"    {line}" for line in _details(one)]
        if one.units:
            lines.append(f"    in {one_line(', '.join(one.units), _FIX_WIDTH)}")
    return "\n".join(lines)


def _details(one: Told) -> list[str]:
    fix = [f"fix: {one_line(one.suggestion, _FIX_WIDTH)}"] if one.suggestion else []
    return [*fix, f"SQL: {one_line(one.sql, _SQL_WIDTH)}"]


def as_report(findings: Iterable[Told], title: str) -> str:
    """Return findings as a test says them."""
    lines = [title]
    for one in findings:
        where = one_line(one.location, 200) or "(unknown)"
        times = f"{one.count} times" if one.count > 1 else "once"
        lines.append(f"  {one.kind}  {where}  {times}")
        lines += [f"    {line}" for line in _details(one)]
    return "\n".join(lines)


def as_json(source: Source, findings: Sequence[Told], error: str | None) -> str:
    """Return findings for programs; members are added to this shape, and never change."""
    document = {
        "version": VERSION,
        "source": source,
        "error": error,
        "findings": [
            {**msgspec.structs.asdict(one), "path": one.path, "line": one.line} for one in findings
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_github(findings: Iterable[Told]) -> str:
    """Return findings as workflow commands, which GitHub shows at the lines of a change."""
    return "\n".join(_annotation(one) for one in findings)


def _annotation(one: Told) -> str:
    properties = [f"file={_property(one.path)}"] if one.path else []
    if one.line is not None:
        properties.append(f"line={one.line}")
    properties.append(f"title={_property(f'{one.kind} ({one.count} queries)')}")
    says = f"{one.suggestion}\n{one_line(one.sql, _SQL_WIDTH)}"
    return f"::warning {','.join(properties)}::{_data(says)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

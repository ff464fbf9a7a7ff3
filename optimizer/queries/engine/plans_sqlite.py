"""SQLite's EXPLAIN QUERY PLAN, read."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from optimizer.queries.engine.plans import How, Plan, Read, bounded

# "SCAN book AS b USING COVERING INDEX x", "SEARCH b USING AUTOMATIC PARTIAL COVERING INDEX (y=?)".
# Before SQLite 3.36 it said "SCAN TABLE book AS b".
_READ = re.compile(
    r"(?P<verb>SCAN|SEARCH) (?:TABLE )?(?P<name>.+?)(?: AS (?P<alias>.+?))?"
    r"(?: USING (?P<how>.*?)(?:INDEX|PRIMARY KEY)(?: (?P<index>[^(]+?))?(?: \((?P<terms>.*)\))?)?"
    r"(?: (?:LEFT-JOIN|LAST TERM|EXISTS))*$"
)
_NO_TABLE = ("CONSTANT ROW", "SUBQUERY", "SUBQUERIES")


def read_plan(rows: Iterable[Sequence[Any]]) -> Plan:
    """Return the plan of EXPLAIN QUERY PLAN's rows (id, parent, unused, detail)."""
    steps = [(int(row[0]), int(row[1]), str(row[3])) for row in rows]
    reads = tuple(read for _, _, detail in steps if (read := _read(detail)) is not None)
    return Plan(
        reads,
        sorts=any("B-TREE FOR" in step and "ORDER BY" in step for _, _, step in steps),
        groups=any(
            f"USE TEMP B-TREE FOR {what}" in step
            for _, _, step in steps
            for what in ("GROUP BY", "DISTINCT")
        ),
        text=bounded(_indented(steps)),
    )


def _read(detail: str) -> Read | None:
    match = _READ.match(detail)
    if match is None or match["name"].startswith(_NO_TABLE) or "VIRTUAL TABLE" in detail:
        return None
    name, how, terms = match["alias"] or match["name"], match["how"] or "", match["terms"] or ""
    is_covering = "COVERING" in how
    if "AUTOMATIC" in how:
        return Read(name, How.AUTOMATIC, is_covering=is_covering)
    return Read(
        name,
        How.SCAN if match["verb"] == "SCAN" else How.INDEX,
        index=match["index"] or "",
        equalities=len(re.findall(r"(?<![<>])=\?", terms)),
        bounds=len(re.findall(r"[<>]=?\?", terms)),
        is_covering=is_covering or "PRIMARY KEY" in detail,
    )


def _indented(steps: list[tuple[int, int, str]]) -> str:
    depth = {0: -1}
    lines = []
    for number, parent, detail in steps:
        depth[number] = depth.get(parent, -1) + 1
        lines.append("  " * depth[number] + detail)
    return "\n".join(lines)

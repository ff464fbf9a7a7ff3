"""The N+1 detector against its peers: how often each is right, and what watching costs.

Run `python -m benchmarks.queries [--json FILE]`; each has a process and a database of its own. Line
and exact fix are of what was found; a ratio is of a request's time to the same one unwatched, the
median of alternating pairs. A peer that patches Django slows the unwatched one, too.

`seen` is the corpus that the detector was written with, `unseen` one that others wrote without
having read it. What the first run on that showed has been mended since. The first run itself, of
111 loops and 62 healthy programs: precision 0.982, recall 0.982, line 0.982, exact fix 0.954, and
one wrong relation.
"""

import sys
import time
from typing import Any

from benchmarks import queries_statistics
from benchmarks.place import told_by
from benchmarks.queries_contenders import CONTENDERS
from benchmarks.table import Row, arguments, show, verdict

CORPORA = ("seen", "unseen")
ASKED = {"precision": 98.0, "recall": 98.0, "line": 98.0, "fix": 95.0}
WORDS = {"line": "line right", "fix": "exact fix right"}
TIMEOUT_SECONDS = 120


def run(name: str) -> dict[str, Any]:
    """Measure one contender in a process of its own."""
    told: dict[str, Any] = told_by("queries_worker", name, timeout_seconds=TIMEOUT_SECONDS)
    return told


def quality_rows(told: dict[str, dict[str, Any]]) -> list[Row]:
    """Return each corpus's figures, the peers below one another."""
    judged = {name: one["quality"] for name, one in told.items() if "quality" in one}
    rows = []
    for corpus in CORPORA:
        for figure, bound in ASKED.items():
            for name, of_one in judged.items():
                value = 100 * of_one[corpus][figure]
                asked = verdict(value, ">=", bound, "%") if name == "tuneup" else ""
                title = f"{corpus}, {WORDS.get(figure, figure)}: {name}"
                rows.append(Row(title, value, "%", None, asked))
        for name, of_one in judged.items():
            one = of_one[corpus]
            told_of = f"{one['found']} of {one['positives']} found, {one['false']} false alarms"
            crashed = f", broke {one['crashed']} programs" if one["crashed"] else ""
            title = f"{corpus}, wrong relations: {name}"
            rows.append(Row(title, one["wrong"], "", None, f"{told_of}{crashed}"))
    return rows


def overhead_rows(told: dict[str, dict[str, Any]]) -> list[Row]:
    """Return what a query costs more, and the ratio of the request's time."""
    rows = []
    for page in told["tuneup"]["overhead"]:
        for name, one in told.items():
            found = one["overhead"][page]
            of_bare = f"of {found['bare'] / 1000:.1f} ms, {found['pairs']} pairs"
            rows.append(Row(f"{page}: {name}", found["added"], "us", found["ratio"], of_bare))
    for name, microseconds in told["tuneup, capture alone"]["capture"].items():
        rows.append(Row(f"a query at the wrapper: {name}", microseconds, "us"))
    return rows


def main() -> None:
    """Measure everything and print the table."""
    options = arguments(__doc__ or "")
    started, told = time.monotonic(), dict[str, dict[str, Any]]()
    for name in CONTENDERS:
        told[name] = run(name)
        print(f"{name} done after {time.monotonic() - started:.0f} s", file=sys.stderr)
    rows = [*quality_rows(told), *overhead_rows(told), *queries_statistics.rows()]
    show("Query optimizer", rows, options.json)


if __name__ == "__main__":
    main()

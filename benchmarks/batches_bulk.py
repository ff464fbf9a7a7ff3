"""Bulk writes against SQL written by hand and Django's own methods: 20,000 rows, half of them new.

Run `python -m benchmarks.batches_bulk [--json FILE]`; it starts a durable PostgreSQL and makes a
SQLite file. Ours gets mappings, as users have them, and folds, sorts and checks them; SQL by hand
gets tuples that are ready, Django's methods get instances that are ready. All take turns over a
table that is filled afresh, and the best of their rounds counts. A ratio is ours to the peer's.
"""

from benchmarks.place import told_by
from benchmarks.table import Row, arguments, show, verdict

TIMEOUT_SECONDS = 900
TITLE = "Bulk writes, rows a second"
Figures = dict[str, dict[str, float]]


def rows() -> list[Row]:
    """Measure everything in a process of its own."""
    told = told_by("batches_bulk_worker", timeout_seconds=TIMEOUT_SECONDS)
    found = []
    for alias, name, by_hand, bounds in (
        ("default", f"PostgreSQL {told['postgresql']}", "COPY", (1.0, 3.5, 150)),
        ("sqlite", "SQLite", "executemany", (0.9, 6.0, None)),
    ):
        found += _upserts(name, told[alias], by_hand, bounds)
    found += _sizes(told["sizes"])
    return found


def _upserts(
    database: str, told: Figures, by_hand: str, bounds: tuple[float, float, float | None]
) -> list[Row]:
    made = []
    for words in ("", ", with a time"):
        ours = told["tuneup" + words]["best"]
        made.append(Row(f"{database}, upsert{words}: tuneup", ours, "/s"))
        for name in ("tuneup, plain", "tuneup, instances", "tuneup, arrays"):
            if name + words in told:
                rate = told[name + words]["best"]
                made.append(Row(f"  {name}", rate, "/s", ours / rate))
        for name, one in told.items():
            if name.startswith(by_hand) and name.endswith("with a time") == bool(words):
                made.append(_against(f"  {name}", ours, one["best"], bounds[0]))
        sizes = [
            (one["best"], name)
            for name, one in told.items()
            if name.startswith("bulk_create") and name.endswith("with a time") == bool(words)
        ]
        best, name = max(sizes)
        made.append(_against(f"  {name}, the best size", ours, best, bounds[1]))
    ours, slow = told["tuneup"]["best"], told["update_or_create"]["best"]
    made.append(_against("  update_or_create, of 1,500 rows", ours, slow, bounds[2]))
    skipped, plain = told["unchanged"]["best"], told["unchanged, plain"]["best"]
    made.append(Row(f"{database}, unchanged rows: tuneup", skipped, "/s"))
    made.append(
        _against("  skip_unchanged=False", skipped, plain, 3.0 if by_hand == "COPY" else None)
    )
    for verb in ("update", "delete"):
        ours, theirs = told[verb]["best"], told[f"{verb} of Django"]["best"]
        made.append(Row(f"{database}, {verb}: tuneup", ours, "/s"))
        made.append(_against(f"  {verb} of Django", ours, theirs, None))
    return made


def _against(name: str, ours: float, theirs: float, bound: float | None) -> Row:
    ratio = ours / theirs
    asked = "" if bound is None else verdict(ratio, ">=", bound)
    return Row(name, theirs, "/s", ratio, asked)


def _sizes(told: Figures) -> list[Row]:
    return [
        Row(f"{size} rows: COPY to arrays", one["COPY"], "/s", one["COPY"] / one["arrays"])
        for size, one in told.items()
    ]


def main() -> None:
    """Print the table."""
    options = arguments(__doc__ or "")
    show(TITLE, rows(), options.json)


if __name__ == "__main__":
    main()

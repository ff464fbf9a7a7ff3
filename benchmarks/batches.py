"""Batches: bulk writes, single calls until they are committed, poison items, chunk sizes.

Run `python -m benchmarks.batches [--json FILE]`; some six minutes. It starts a durable PostgreSQL,
Redis and a Celery worker with two processes. The peers take their turns in the same run.
"""

from benchmarks import batches_bulk
from benchmarks.place import told_by
from benchmarks.table import Row, arguments, show, verdict

TIMEOUT_SECONDS = 900


def flow() -> list[Row]:
    """Measure what happens around the bulk writer, in a process of its own."""
    told = told_by("batches_flow", timeout_seconds=TIMEOUT_SECONDS)
    return [*_calls(told), *_poison(told), *_chunks(told)]


def _calls(told: dict[str, float]) -> list[Row]:
    task = told["task"]
    return [
        Row("single calls until committed: a Celery task each", task, "/s", 1.0),
        *(
            Row(f"  tuneup, {name}", told[key], "/s", told[key] / task, target)
            for name, key, target in (
                ("coalesced by collect()", "collect", _target(told["collect"] / task, 100)),
                ("each durable on return", "submit", _target(told["submit"] / task, 10)),
                ("with an idempotency key each", "submit_key", ""),
                ("in calls of 1,000", "submit_many", ""),
            )
        ),
    ]


def _target(found: float, bound: float) -> str:
    return verdict(found, ">=", bound)


def _poison(told: dict[str, float]) -> list[Row]:
    ratio = told["isolate_seconds"] / told["drop_seconds"]
    return [
        Row("5 poison rows in 20k: dropping the chunks", told["drop_seconds"] * 1000, "ms", 1.0),
        Row(
            "  tuneup: halving",
            told["isolate_seconds"] * 1000,
            "ms",
            ratio,
            verdict(ratio, "<=", 2.2),
        ),
        Row("  bulk writes", told["calls"], "", None, verdict(told["calls"], "<=", 130, "")),
        Row("  good rows lost", told["lost"], "", None, verdict(told["lost"], "<=", 0, "")),
        Row("  good rows lost by dropping", told["dropped"], ""),
        Row("  the whole way, from the inbox", told["drain_poison_seconds"] * 1000, "ms"),
        Row("  the same without poison", told["drain_seconds"] * 1000, "ms"),
    ]


def _chunks(told: dict[str, float]) -> list[Row]:
    fixed = {name: value for name, value in told.items() if name.startswith("fixed ")}
    best = max(fixed.values())
    ratio = told["aimd"] / best
    rows = [
        Row(f"chunks of {name[6:]}", value, "/s", value / best) for name, value in fixed.items()
    ]
    rows.append(
        Row("tuneup: AIMD, from chunk 21 on", told["aimd"], "/s", ratio, verdict(ratio, ">=", 0.9))
    )
    rows.append(Row("  chunk size it found", told["aimd_items"], ""))
    count = told["progress_queries"]
    rows.append(Row("progress: queries", count, "", None, verdict(count, "<=", 1, "")))
    return rows


def main() -> None:
    """Print the table."""
    asked = arguments(__doc__ or "")
    show("Batches", [*batches_bulk.rows(), *flow()], asked.json)


if __name__ == "__main__":
    main()

"""Pools: PostgreSQL, Redis and HTTP against bare clients, live edits, Celery workers.

Run `python -m benchmarks.pools [--json FILE]`; some three minutes. It starts PostgreSQL, Redis,
an HTTP server and Celery workers of its own; peers take their turns in the same run.
"""

from benchmarks.place import told_by
from benchmarks.table import Row, arguments, show, verdict

TIMEOUT_SECONDS = 400


def postgresql() -> list[Row]:
    """Measure the managed pool against psycopg_pool."""
    told = told_by("pools_postgresql", timeout_seconds=TIMEOUT_SECONDS)
    out, bare = told["check_out"], told["check_out_bare"]
    rate, rate_bare, anew = (told[f"queries_{name}"] for name in ("managed", "bare", "new"))
    return [
        Row("PostgreSQL, check-out: psycopg_pool", bare, "us", 1.0),
        Row("  tuneup, with all statistics", out, "us", out / bare, verdict(out / bare, "<=", 1.3)),
        Row("2,000 queries, 8 threads: psycopg_pool", rate_bare, "/s", 1.0),
        Row("  tuneup", rate, "/s", rate / rate_bare, verdict(rate / rate_bare, ">=", 0.95)),
        Row("  a new connection each", anew, "/s", anew / rate_bare),
        Row("  tuneup to a new connection each", rate / anew, "x", None,
            verdict(rate / anew, ">=", 15)),
        Row("64 threads on 8, 99 % within: psycopg_pool", told["crowd_bare"], "ms", 1.0),
        Row("  tuneup", told["crowd"], "ms", told["crowd"] / told["crowd_bare"],
            verdict(told["crowd"] / told["crowd_bare"], "<=", 1.1)),
        _bound("10 -> 2, seen by the server", told["shrink_ms"], "ms", 50),
        _bound("2 -> 10", told["grow_ms"], "ms", 50),
        _bound("  failed calls", told["size_failed"], "", 0),
        Row("all killed under load: calls that saw it", told["kill_failed_once"], ""),
        _bound("  failed though repeated", told["kill_failed"], "", 0),
        _bound("  longest gap", told["kill_gap_ms"], "ms", 30),
    ]  # fmt: skip


def clients() -> list[Row]:
    """Measure the Redis and HTTP pools against bare clients."""
    told = told_by("pools_clients", timeout_seconds=TIMEOUT_SECONDS)
    redis, http = told["redis"] / told["redis_bare"], told["http"] / told["http_bare"]
    return [
        Row("Redis, PING, 8 threads: redis-py's pool", told["redis_bare"], "/s", 1.0),
        Row("  its blocking pool", told["redis_blocking"], "/s",
            told["redis_blocking"] / told["redis_bare"]),
        Row("  tuneup", told["redis"], "/s", redis, verdict(redis, ">=", 0.95)),
        Row("8 threads over 4, of 2,000 calls fail: redis-py", told["dry_bare"], ""),
        _bound("  tuneup", told["dry"], "", 0),
        Row("HTTP, 8 threads: httpx.Client", told["http_bare"], "/s", 1.0),
        Row("  tuneup", told["http"], "/s", http, verdict(http, ">=", 0.95)),
    ]  # fmt: skip


def processes() -> list[Row]:
    """Measure other processes: live edits and Celery."""
    told = told_by("pools_processes", timeout_seconds=TIMEOUT_SECONDS)
    own = told["celerys_own_rate"]
    return [
        _bound("a live edit obeyed by 4 processes, most", told["edit_most_ms"], "ms", 1000),
        Row("  median", told["edit_ms"], "ms"),
        Row("200 prefork tasks: Celery's own fix-up", own, "/s", 1.0),
        Row("  connections opened", told["celerys_own_opened"], ""),
        Row("  of 60 lost after a kill", told["celerys_own_lost"], ""),
        Row("  tuneup", told["celery_rate"], "/s", told["celery_rate"] / own),
        _bound("  connections opened", told["celery_opened"], "", 2),
        _bound("  of 60 lost after a kill", told["celery_lost"], "", 2),
    ]


def _bound(name: str, found: float, unit: str, most: float) -> Row:
    return Row(name, found, unit, None, verdict(found, "<=", most, unit))


def main() -> None:
    """Print the table."""
    asked = arguments(__doc__ or "")
    show("Pools", [*postgresql(), *clients(), *processes()], asked.json)


if __name__ == "__main__":
    main()

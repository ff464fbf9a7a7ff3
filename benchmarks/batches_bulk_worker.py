"""One process of the benchmark of bulk writes: measures everything and prints it as JSON."""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import django
from django.conf import settings
from django.db import connections
from django.db.models import Model

from optimizer.operations import private_postgres

ROWS, FEW, ROUNDS = 20_000, 1_500, 7
CHUNKS = (500, 1_000, 5_000, 20_000)
SIZES = (50, 100, 200, 350, 500, 1_000, 2_000)

Way = tuple[Callable[[], Any], Callable[[Any], object]]  # before the clock starts, and timed


def main() -> None:
    """Start a durable cluster, set Django up over it and a SQLite file, and measure."""
    binaries = private_postgres.find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: apt-get install postgresql")
    durable = mock.patch.object(private_postgres, "_OPTIONS", ("max_connections=100",))
    with (
        tempfile.TemporaryDirectory() as folder,
        durable,
        private_postgres.private_postgres(binaries) as url,
    ):
        _set_up(url, Path(folder, "bulk.sqlite3"))
        told = {alias: _measure(alias, url) for alias in ("default", "sqlite")}
        told["sizes"] = _turning_point()
        connections.close_all()
    print(json.dumps(told | {"postgresql": private_postgres.version_of(binaries)}))


def _set_up(url: str, file: Path) -> None:
    import environ

    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file)}
    options = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}
    settings.configure(
        DATABASES={
            "default": environ.Env.db_url_config(url),
            "sqlite": sqlite | {"OPTIONS": options | {"transaction_mode": "IMMEDIATE"}},
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    from benchmarks.batches_bulk_peers import Player, SeenPlayer

    for alias in ("default", "sqlite"):
        for model in (Player, SeenPlayer):
            with connections[alias].schema_editor() as editor:
                editor.create_model(model)


def _measure(alias: str, url: str) -> dict[str, dict[str, float]]:
    from benchmarks import batches_bulk_peers as peers

    models: dict[str, type[Model]] = {"": peers.Player, ", with a time": peers.SeenPlayer}
    found: dict[str, dict[str, float]] = {}
    for words, model in models.items():
        rows = peers.rows_of(model, ROWS, seed=1)
        ways = _ways(alias, url, model, rows)
        timed = _time(ways, partial(peers.fill, alias, model, rows))
        found |= {name + words: one for name, one in timed.items()}
    few = peers.rows_of(peers.Player, FEW, seed=2)
    one_by_one: dict[str, Way] = {
        "update_or_create": (lambda: few, peers.update_or_create(alias, peers.Player))
    }
    found |= _time(one_by_one, lambda: peers.fill(alias, peers.Player, few), rounds=3, count=FEW)
    return found | _unchanged(alias) | _updates(alias)


def _ways(alias: str, url: str, model: type[Model], rows: list[dict[str, Any]]) -> dict[str, Way]:
    from benchmarks import batches_bulk_peers as peers
    from optimizer.batches.services.bulk import bulk_upsert

    names = list(rows[0])
    tuples = [tuple(row.values()) for row in rows]
    if alias == "sqlite":  # as SQLite stores them: the driver's own conversion is deprecated
        tuples = [
            tuple(value.isoformat(" ")[:-6] if hasattr(value, "tzinfo") else value for value in row)
            for row in tuples
        ]

    def instances() -> list[Model]:
        return [model(**row) for row in rows]

    def ours(given: Sequence[Any]) -> object:
        return bulk_upsert(model, given, ["user"], using=alias)

    def plain(given: Sequence[Any]) -> object:
        return bulk_upsert(model, given, ["user"], using=alias, skip_unchanged=False)

    ways: dict[str, Way] = {
        "tuneup": (lambda: rows, ours),
        "tuneup, plain": (lambda: rows, plain),
        "tuneup, instances": (instances, ours),
    }
    if alias == "sqlite":
        by_hand = peers.executemany_by_hand(alias, model, names)
        ways["executemany by hand"] = (lambda: tuples, by_hand)
    else:
        for kind in ("text", "binary"):
            by_hand = peers.copy_by_hand(url, model, names, binary=kind == "binary")
            ways[f"COPY {kind} by hand"] = (lambda: tuples, by_hand)
        ways["tuneup, arrays"] = (
            lambda: rows,
            lambda given: bulk_upsert(model, given, ["user"], using=alias, way="unnest"),
        )
    for size in CHUNKS:
        ways[f"bulk_create {size}"] = (instances, peers.bulk_create(alias, names, size))
    return ways


def _unchanged(alias: str) -> dict[str, dict[str, float]]:
    """Send rows that are stored already as they are."""
    from benchmarks import batches_bulk_peers as peers
    from optimizer.batches.services.bulk import bulk_upsert

    rows = peers.rows_of(peers.Player, ROWS, seed=3)

    def write(skip: bool) -> Callable[[Any], object]:
        return lambda given: bulk_upsert(
            peers.Player, given, ["user"], skip_unchanged=skip, using=alias
        )

    def fill() -> None:
        peers.fill(alias, peers.Player, rows)
        bulk_upsert(peers.Player, rows, ["user"], using=alias)
        if alias == "default":
            with connections[alias].cursor() as cursor:
                cursor.execute(f"VACUUM FULL {peers.Player._meta.db_table}")
                cursor.execute(f"VACUUM ANALYZE {peers.Player._meta.db_table}")
                cursor.execute("CHECKPOINT")

    ways: dict[str, Way] = {
        "unchanged": (lambda: rows, write(True)),
        "unchanged, plain": (lambda: rows, write(False)),
    }
    return _time(ways, fill)


def _updates(alias: str) -> dict[str, dict[str, float]]:
    from benchmarks import batches_bulk_peers as peers
    from optimizer.batches.services.bulk import bulk_delete, bulk_update

    rows = [row for row in peers.rows_of(peers.Player, 2 * ROWS, seed=4) if row["user"] % 2]
    names, table = list(rows[0]), peers.Player

    def instances() -> list[Model]:
        return [table(**row) for row in rows]

    def delete_of_django(keys: Sequence[int]) -> object:
        return table._base_manager.using(alias).filter(user__in=keys).delete()

    ways: dict[str, Way] = {
        "update": (lambda: rows, lambda given: bulk_update(table, given, ["user"], using=alias)),
        "update of Django": (instances, peers.bulk_update_of_django(alias, names, 500)),
        "delete": (lambda: rows, lambda given: bulk_delete(table, given, ["user"], using=alias)),
        "delete of Django": (lambda: [row["user"] for row in rows], delete_of_django),
    }
    return _time(ways, lambda: peers.fill(alias, table, rows), rounds=3, count=len(rows))


def _turning_point() -> dict[str, dict[str, float]]:
    """Time both of PostgreSQL's ways for some numbers of rows."""
    from benchmarks import batches_bulk_peers as peers
    from optimizer.batches.services.bulk import bulk_upsert

    upsert = partial(bulk_upsert, peers.Player, unique_fields=["user"])
    found = {}
    for size in SIZES:
        rows = peers.rows_of(peers.Player, size, seed=size)
        ways: dict[str, Way] = {
            "arrays": (
                partial(list, rows),
                partial(upsert, way="unnest"),
            ),
            "COPY": (
                partial(list, rows),
                partial(upsert, way="copy"),
            ),
        }
        timed = _time(ways, partial(peers.fill, "default", peers.Player, rows), count=size)
        found[str(size)] = {name: one["best"] for name, one in timed.items()}
    return found


def _time(
    ways: dict[str, Way], fill: Callable[[], None], *, rounds: int = ROUNDS, count: int = ROWS
) -> dict[str, dict[str, float]]:
    """Run the ways in turn, each over a fresh table; return rows a second: best and median."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        print(f"round {turn + 1} of {', '.join(ways)}", file=sys.stderr)
        for name, (prepare, write) in ways.items():
            fill()
            given = prepare()
            gc.collect()
            start = time.perf_counter()
            write(given)
            spent[name].append(time.perf_counter() - start)
            del given
    return {
        name: {"best": count / min(times), "median": count / statistics.median(times)}
        for name, times in spent.items()
    }


if __name__ == "__main__":
    main()

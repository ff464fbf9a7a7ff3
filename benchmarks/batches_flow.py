"""One process of the benchmark of batches: it measures, and prints what it found as JSON."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.place import own_place
from optimizer.operations import private_postgres

ITEMS, TASKS, ROUNDS = 20_000, 2_000, 1
SIZES = (100, 250, 500, 1_000, 2_500, 5_000)
WARM_UP_CHUNKS, AIMD_ROUNDS, LARGE_ITEMS = 20, 10, 5_000
POISON = (17, 5_003, 9_999, 10_000, 19_998)


def main() -> None:
    """Start the services, and measure one thing after the other."""
    binaries = private_postgres.find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server here: apt-get install postgresql")
    durable = mock.patch.object(private_postgres, "_OPTIONS", ("max_connections=100",))
    with durable, private_postgres.private_postgres(binaries) as url:
        settings = "tests.batches.worker_settings"
        with own_place(DATABASE_URL=url, DJANGO_SETTINGS_MODULE=settings) as place:
            found = _poison() | _aimd() | _progress()
            with _worker(place.folder):
                found |= _calls()
    print(json.dumps(found))


def _job(name: str = "products", **values: Any) -> Any:
    from tests.batches.jobs import make

    return make(name, **{"idle_seconds": 0.05, "flush_seconds": 0.2, **values})


def _rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"sku": f"p{n:07}", "stock": n % 1000} for n in range(start, start + count)]


def _empty() -> None:
    from django.db import connection

    from optimizer.batches.models import AcceptedKey, DeadLetter, Item
    from tests.library.models import Product

    with connection.cursor() as cursor:
        for model in (Product, Item, AcceptedKey, DeadLetter):
            cursor.execute(f"TRUNCATE {model._meta.db_table} CASCADE")
            cursor.execute(f"VACUUM ANALYZE {model._meta.db_table}")


def _poison() -> dict[str, float]:
    from django.db import DatabaseError, connection, transaction

    from optimizer.batches import Entry, bulk_upsert, submit_many
    from optimizer.batches.engine.bisection import isolate
    from optimizer.batches.models import DeadLetter
    from optimizer.batches.services import draining
    from tests.library.models import Language, Product

    language = Language.objects.create(name="English", code="en")
    rows = [{**row, "language_id": language.pk} for row in _rows(ITEMS)]
    good = [dict(row) for row in rows]
    for at in POISON:
        rows[at]["language_id"] = 10**9
    calls = 0

    def write(portion: list[dict[str, Any]]) -> None:
        nonlocal calls
        calls += 1
        with transaction.atomic():
            bulk_upsert(Product, portion, ["sku"])

    def chunks(apply: Callable[[list[dict[str, Any]]], object]) -> float:
        started = time.perf_counter()
        for at in range(0, ITEMS, 1000):
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                apply(rows[at : at + 1000])
        return time.perf_counter() - started

    def drop(portion: list[dict[str, Any]]) -> None:
        try:
            write(portion)
        except DatabaseError:
            return

    def halve(portion: list[dict[str, Any]]) -> None:
        isolate(
            len(portion),
            lambda places: write([portion[at] for at in places]),
            errors=(DatabaseError,),
        )

    found: dict[str, list[float]] = {"drop": [], "isolate": [], "poison": [], "clean": []}
    for _ in range(ROUNDS):
        _empty()
        Language.objects.get_or_create(pk=language.pk, defaults={"name": "English", "code": "en"})
        found["drop"].append(chunks(drop))
        dropped = ITEMS - Product.objects.count() - len(POISON)
        _empty()
        calls = 0
        found["isolate"].append(chunks(halve))
        lost = ITEMS - Product.objects.count() - len(POISON)
        for name, given in (("clean", good), ("poison", rows)):
            _empty()
            job = _job(chunk_items=1000)
            for at in range(0, ITEMS, 10_000):
                submit_many(job.name, [Entry(row) for row in given[at : at + 10_000]])
            started = time.perf_counter()
            draining.drain(job.name, reason="run", seconds=300)
            found[name].append(time.perf_counter() - started)
        assert DeadLetter.objects.count() == len(POISON)
        lost += ITEMS - Product.objects.count() - len(POISON)
    return {
        "drop_seconds": min(found["drop"]),
        "isolate_seconds": min(found["isolate"]),
        "drain_poison_seconds": min(found["poison"]),
        "drain_seconds": min(found["clean"]),
        "calls": calls,
        "lost": lost,
        "dropped": dropped,
    }


def _aimd() -> dict[str, float]:
    """Return the items a second by chunk size, and of chunks whose size AIMD chose.

    After its first 20 chunks all sizes take turns, so that they find the same tables.
    """
    from msgspec.structs import replace

    from optimizer.batches.live import live_job
    from optimizer.batches.models import JobState
    from optimizer.batches.services import records, working

    _empty()
    JobState.objects.all().delete()
    adaptive = live_job(_job(chunk_items=500, adaptive=True, target_seconds=0.25))
    state = records.state_of(adaptive)
    supply = _Supply(adaptive.name)
    for _ in range(WARM_UP_CHUNKS):
        supply.fill()
        state = working.work(adaptive, state, "size")[1] or state
    ways = {f"fixed {size}": replace(adaptive, adaptive=False, chunk_items=size) for size in SIZES}
    ways["aimd"] = adaptive
    done, spent = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
    for _ in range(AIMD_ROUNDS):
        for name, job in ways.items():
            until = done[name] + LARGE_ITEMS
            while done[name] < until:
                supply.fill()
                started = time.perf_counter()
                chunk, after = working.work(job, state, "size")
                spent[name] += time.perf_counter() - started
                state = after or state
                done[name] += chunk.done
    return {name: done[name] / spent[name] for name in ways} | {"aimd_items": state.chunk_items}


class _Supply:
    """Keeps more in a job's inbox than its next chunk takes."""

    def __init__(self, name: str) -> None:
        self.name, self.given = name, 0

    def fill(self) -> None:
        from optimizer.batches import submit_many
        from optimizer.batches.models import Item

        while Item.objects.count() < 3 * LARGE_ITEMS:
            submit_many(self.name, _rows(10_000, self.given))
            self.given += 10_000


def _progress() -> dict[str, float]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from optimizer.batches import selectors
    from optimizer.batches.live import live_job

    job = live_job(_job())
    with CaptureQueriesContext(connection) as queries:
        selectors.progress(job)
    return {"progress_queries": len(queries)}


def _calls() -> dict[str, float]:
    from optimizer.batches import collect, submit, submit_many
    from tests.library.tasks import store_one

    _job(chunk_items=2500, adaptive=False)

    def coalesced() -> None:
        with collect("products"):
            for row in _rows(ITEMS):
                submit("products", row)

    def each() -> None:
        for row in _rows(ITEMS):
            submit("products", row)

    def keyed() -> None:
        for row in _rows(ITEMS):
            submit("products", row, key=row["sku"])

    def thousands() -> None:
        for at in range(0, ITEMS, 1000):
            submit_many("products", _rows(1000, at))

    def tasks() -> None:
        for row in _rows(TASKS):
            store_one.apply_async(args=(row,))

    _until_committed(lambda: submit_many("products", _rows(100)), 100)  # the worker is warm
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, send, count in (
            ("task", tasks, TASKS),
            ("collect", coalesced, ITEMS),
            ("submit", each, ITEMS),
            ("submit_key", keyed, ITEMS),
            ("submit_many", thousands, ITEMS),
        ):
            found.setdefault(name, []).append(count / _until_committed(send, count))
    return {name: statistics.median(values) for name, values in found.items()}


def _until_committed(send: Callable[[], object], count: int) -> float:
    from tests.library.models import Product

    _empty()
    time.sleep(0.5)  # what an earlier round has sent is read
    started = time.perf_counter()
    send()
    while Product.objects.count() < count:
        time.sleep(0.005)
        if time.perf_counter() - started > 200:
            raise SystemExit(f"{Product.objects.count()} of {count} after 200 s")
    return time.perf_counter() - started


@contextmanager
def _worker(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "--app", "config", "worker", "--concurrency", "2"]
    command += ["--without-mingle", "--without-gossip", "--loglevel", "WARNING"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ)
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace")[-2000:])


if __name__ == "__main__":
    main()

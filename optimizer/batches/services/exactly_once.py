"""Exactly once: claiming items, the bulk write, the counters and the checkpoint in one transaction.

Whatever is killed when, all of it has happened or nothing, and the locks go with the connection.
"""

import time
from collections.abc import Sequence
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from optimizer.batches import metrics
from optimizer.batches.engine.bisection import Isolated, isolate
from optimizer.batches.models import Item, JobState
from optimizer.batches.services import calibration, dead_letters, inbox
from optimizer.batches.services.chunks import (
    Chunk,
    Failures,
    Work,
    count,
    read,
    wait_seconds,
    within_bytes,
)
from optimizer.batches.services.errors import DATA_ERRORS, Again, Poison, describe
from optimizer.batches.services.inbox import Taken
from optimizer.batches.services.records import record
from optimizer.batches.services.sinks.base import Outcome, Row, Sink

Written = tuple[Sequence[int], Outcome]


def work(todo: Work) -> JobState | None:
    """Do a chunk; return the job's new counters, None where there was nothing to do."""
    try:
        return _transaction(todo)
    except IntegrityError:
        # A constraint that is looked at in the commit: once more, looking after each write.
        _clear(todo.chunk)
        return _transaction(todo, careful=True)


def _clear(chunk: Chunk) -> None:
    fresh = Chunk(chunk.reason, chunk.size)
    for name in Chunk.__slots__:
        setattr(chunk, name, getattr(fresh, name))


def _transaction(todo: Work, *, careful: bool = False) -> JobState | None:
    job, chunk, started = todo.job, todo.chunk, time.perf_counter()
    taken: list[Taken] = []
    try:
        with transaction.atomic():
            _check_at_once()
            taken = inbox.take(job, chunk.size, upto_id=todo.upto_id)
            if not taken:
                return None
            taken, others = within_bytes(job, chunk, taken)
            rows, failed = read(todo.sink, taken)
            if todo.calibrate:
                chunk.one_by_one_seconds = calibration.one_by_one(todo.sink, rows)
            writing = time.perf_counter()
            found = _write(todo.sink, rows, _limit(todo, len(failed)), careful=careful)
            chunk.in_bulk_seconds = (time.perf_counter() - writing) / max(1, len(rows))
            for at, error in found.poison.items():
                failed[rows[at].item.id] = (rows[at].item, error)
            reached = {at for places, _ in found.results for at in places} | set(found.poison)
            left = [row.item for at, row in enumerate(rows) if at not in reached]
            inbox.put_back(job, others + left)
            dead_letters.bury(job, failed, attempts=1)
            count(chunk, taken, failed, [outcome for _, outcome in found.results])
            chunk.done -= len(left)
            chunk.seconds = time.perf_counter() - started
            return record(job, chunk, todo.run)
    except (Again, OSError) as error:
        # A handler asks for it, or what it called is away. That is an attempt of its items.
        return _put_off(todo, {one.id: (one, error) for one in taken})


def _check_at_once() -> None:
    """Have foreign keys checked by each statement, while it is known whose they are."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _write(
    sink: Sink, rows: Sequence[Row], limit: int | None, *, careful: bool
) -> Isolated[Written]:
    """Write the rows but the poison ones, each portion in a savepoint."""

    def apply(places: Sequence[int]) -> Written:
        with transaction.atomic():
            outcome = sink.write([rows[at] for at in places])
            if careful:
                try:
                    connection.check_constraints()
                except IntegrityError as error:
                    raise Poison from error
        return places, outcome

    return isolate(
        len(rows),
        apply,
        errors=DATA_ERRORS,
        given_up=lambda found: limit is not None and len(found.poison) >= limit,
    )


def _limit(todo: Work, failed: int) -> int | None:
    """Return after how many more dead letters the job stops."""
    if todo.job.on_error == "stop":
        return 1
    if not todo.job.skip_limit:
        return None
    return max(1, todo.job.skip_limit - todo.skipped - failed)


def _put_off(todo: Work, again: Failures) -> JobState | None:
    """Have items, which are in the inbox again, wait; bury those that had all their attempts."""
    job, chunk = todo.job, todo.chunk
    metrics.TROUBLE.labels(job.name).inc()
    with transaction.atomic():
        failed, waits = Failures(), dict[int, float]()
        for row in Item.objects.select_for_update().filter(id__in=again):
            item, error = again[row.id]
            if row.attempts + 1 >= job.max_attempts:
                failed[row.id] = (item, error)
            else:
                waits[row.id] = wait_seconds(job, row.attempts + 1, error)
        if job.ordered and waits:
            until = timezone.now() + timedelta(seconds=max(waits.values()))
            inbox.hold_lanes(job, {again[pk][0].lane for pk in waits}, until)
            waits = dict.fromkeys(waits, 0.0)
        inbox.put_off(waits, attempts=1)
        Item.objects.filter(id__in=failed).delete()
        dead_letters.bury(job, failed, attempts=1)
        chunk.taken, chunk.failed, chunk.again = len(again), len(failed), len(waits)
        chunk.done, chunk.troubled = 0, True
        chunk.error = next((": ".join(describe(error)) for _, error in again.values()), "")
        return record(job, chunk, todo.run)

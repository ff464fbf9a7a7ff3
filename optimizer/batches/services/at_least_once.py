"""At least once, for what is outside the database: items are leased, written, then taken out.

A worker that is lost between the two leaves its items to the next one, once the lease is over;
their idempotency keys go along, so that the other side can tell.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from optimizer.batches.engine.bisection import isolate
from optimizer.batches.models import Item, JobState
from optimizer.batches.services import dead_letters, inbox
from optimizer.batches.services.chunks import (
    Failures,
    Work,
    count,
    read,
    wait_seconds,
    within_bytes,
)
from optimizer.batches.services.errors import DATA_ERRORS, TRANSIENT_ERRORS, Again, describe
from optimizer.batches.services.inbox import Taken
from optimizer.batches.services.records import record
from optimizer.batches.services.sinks.base import Outcome, Row

LOST = "Its workers were lost, or took longer than the lease."


def work(todo: Work) -> JobState | None:
    """Do a chunk; return the job's new counters, None where there was nothing to do."""
    job, started = todo.job, time.perf_counter()
    until = timezone.now() + timedelta(seconds=job.lease_seconds)
    with transaction.atomic():
        taken = inbox.lease(job, todo.chunk.size, until=until, upto_id=todo.upto_id)
        if not taken:
            return None
        taken, others = within_bytes(job, todo.chunk, taken)
        inbox.release(others, until)
        if job.ordered:
            lanes = {one.lane for one in others}
            inbox.free_unused_lanes(job, lanes, {one.lane for one in taken}, until)
    lost = [one for one in taken if one.attempts > job.max_attempts]
    rows, failed = read(todo.sink, [one for one in taken if one.attempts <= job.max_attempts])
    failed |= {one.id: (one, Again(LOST)) for one in lost}
    again, outcomes = Failures(), list[Outcome]()

    def apply(places: Sequence[int]) -> None:
        portion = [rows[at] for at in places]
        outcomes.append(outcome := _write(todo, portion))
        for to, found in ((failed, outcome.rejected), (again, outcome.again)):
            for at, error in found.items():
                to[portion[at].item.id] = (portion[at].item, error)

    try:
        isolated = isolate(len(rows), apply, errors=DATA_ERRORS)
    except Exception:  # the job is to blame: its items are free at once
        with transaction.atomic():
            inbox.release(taken, until)
            if job.ordered:
                lanes = {one.lane for one in taken}
                inbox.hold_lanes(job, lanes, timezone.now(), was=until)
        raise
    failed |= {rows[at].item.id: (rows[at].item, error) for at, error in isolated.poison.items()}
    with transaction.atomic():
        mine = _settle(todo, taken, failed, again, until)
        count(todo.chunk, mine, failed, outcomes)
        todo.chunk.again = len(again)
        todo.chunk.done -= len(again)
        for _, why in again.values():
            todo.chunk.error = ": ".join(describe(why))
        todo.chunk.seconds = time.perf_counter() - started
        return record(job, todo.chunk, todo.run)


def _write(todo: Work, portion: Sequence[Row]) -> Outcome:
    try:
        return todo.sink.write(portion)
    except TRANSIENT_ERRORS as error:
        return Outcome(again=dict.fromkeys(range(len(portion)), error))


def _settle(
    todo: Work, taken: list[Taken], failed: Failures, again: Failures, until: datetime
) -> list[Taken]:
    """Take out what is done, bury what failed, put off the rest; return the items concerned.

    What took longer than the lease may be another worker's by now, and is settled there.
    """
    job = todo.job
    lock = Item.objects.select_for_update().filter(available_at=until)
    ours = set(lock.filter(id__in=[one.id for one in taken]).values_list("id", flat=True))
    for found in (failed, again):
        for pk in found.keys() - ours:
            del found[pk]
    waits = {}
    for pk, (item, error) in list(again.items()):
        if item.attempts >= job.max_attempts:
            failed[pk] = again.pop(pk)
        else:
            waits[pk] = wait_seconds(job, item.attempts, error)
    done = Item.objects.filter(id__in=ours - again.keys())
    done._raw_delete(done.db)  # nothing points at them, so they need not be loaded again
    dead_letters.bury(job, failed)
    if job.ordered:
        held: dict[int, float] = {one.lane: 0.0 for one in taken}
        for pk, wait in waits.items():
            lane = again[pk][0].lane
            held[lane] = max(held[lane], wait)
        for lane, wait in held.items():
            free_at = timezone.now() + timedelta(seconds=wait)
            inbox.hold_lanes(job, {lane}, free_at, was=until)
        waits = dict.fromkeys(waits, 0.0)
    inbox.put_off(waits)
    return [one for one in taken if one.id in ours]

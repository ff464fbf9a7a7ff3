"""Self-checks against the running system, each with a job of its own that is rolled back."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from optimizer.batches.engine.settings import Job as LiveJob
from optimizer.batches.live import live_job
from optimizer.batches.models import AcceptedKey, DeadLetter, Item, Job
from optimizer.batches.services import bulk, inbox, records, working
from optimizer.batches.services.schedules import sync, task_of
from optimizer.batches.services.submitting import Entry, encode
from optimizer.control.registry import Check


@contextmanager
def _job(**values: object) -> Iterator[LiveJob]:
    """Give a job that nobody else sees, and take it away with all it did."""
    with transaction.atomic():
        row = Job(name=f"verify-{secrets.token_hex(6)}", sink="handler", handler="example")
        for name, value in values.items():
            setattr(row, name, value)
        Job.objects.bulk_create([row])  # no revision: nobody is told
        row = Job.objects.get(name=row.name)
        yield live_job(row)
        transaction.set_rollback(True)


def accepts_a_key_once() -> str:
    """Of three items with two keys, two are accepted, and none the next time."""
    entries = [Entry(1, "a"), Entry(2, "b"), Entry(3, "a")]
    new = [encode(at, entry) for at, entry in enumerate(entries)]
    with _job() as job:
        known, again = inbox.put(job.id, new), inbox.put(job.id, new)
        count = Item.objects.filter(job_id=job.id).count()
        keys = AcceptedKey.objects.filter(job_id=job.id).count()
    if (known, again, count, keys) != ([2], [0, 1, 2], 2, 2):
        raise AssertionError(f"known {known}, then {again}; {count} items, {keys} keys")
    return "2 of 3 accepted"


def applies_all_but_the_poison_item() -> str:
    """Ten items are claimed and applied; the one that is poison becomes a dead letter."""
    with _job() as job:
        inbox.put(job.id, [encode(n, {"n": n, "poison": n == 7}) for n in range(10)])
        chunk, _ = working.work(job, records.state_of(job), "run")
        left = Item.objects.filter(job_id=job.id).count()
        letters = list(DeadLetter.objects.filter(job_id=job.id).values_list("payload", flat=True))
    if (chunk.done, chunk.failed, left, len(letters)) != (9, 1, 0, 1) or '"n":7' not in letters[0]:
        raise AssertionError(f"{chunk.done} done, {chunk.failed} failed, {left} left, {letters}")
    return "9 applied, 1 isolated"


def writes_in_bulk() -> str:
    """An upsert of three rows, of which two are one, changes two; sent again it changes none."""
    app = f"verify_{secrets.token_hex(6)}"
    rows = [{"app_label": app, "model": name} for name in ("a", "b", "a")]
    with transaction.atomic():
        first = bulk.bulk_upsert(ContentType, rows, ["app_label", "model"])
        second = bulk.bulk_upsert(ContentType, rows, ["app_label", "model"])
        count = ContentType.objects.filter(app_label=app).count()
        transaction.set_rollback(True)
    if (first.changed, first.folded, second.changed, count) != (2, 1, 0, 2):
        raise AssertionError(f"{first}, then {second}; {count} rows")
    return f"{first.trips} trips on {connection.vendor}"


def schedules_what_the_job_says() -> str:
    """A job with a crontab has a periodic task with these times."""
    with _job(schedule="crontab", crontab="15 4 * * 1") as job:
        sync(Job.objects.get(pk=job.id))
        task = task_of(job.name)
        said = str(task.crontab) if task is not None else "nothing"
    if not said.startswith("15 4 * * 1"):
        raise AssertionError(f"the periodic task says {said}")
    return said


CHECKS = (
    Check("accepts an idempotency key once", accepts_a_key_once),
    Check("applies all but the poison item", applies_all_but_the_poison_item),
    Check("writes in bulk, and only what changes", writes_in_bulk),
    Check("schedules what the job says", schedules_what_the_job_says),
)

"""The inbox's table: putting items in, looking what waits, taking them out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from optimizer.batches.engine.flush import Waiting
from optimizer.batches.engine.settings import Job
from optimizer.batches.models import LANES, AcceptedKey, DeadLetter, Item, Lane

_ITEM, _KEY, _LANE, _LETTER = (
    model._meta.db_table for model in (Item, AcceptedKey, Lane, DeadLetter)
)
_COLUMNS = "job_id, lane, key, payload, attempts, available_at, created_at"
_LANES_AT_ONCE = 4  # of the sixteen: so several workers find one
_SHORT = 8  # items: no more are written by one INSERT


@dataclass(frozen=True, slots=True)
class New:
    """An item to put in."""

    payload: str
    key: str = ""
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """An item in hand."""

    id: int
    lane: int
    key: str
    payload: str
    attempts: int
    created_at: datetime


def put(job_id: int, items: Sequence[New]) -> list[int]:
    """Put items in, in one transaction; return the positions of those whose key is known.

    Of several with one key in the call the first is taken.
    """
    if len(items) == 1 and not items[0].key:
        _insert(job_id, items)
        return []
    with transaction.atomic():
        known = _known(job_id, items)
        _insert(job_id, [one for at, one in enumerate(items) if at not in known])
    return sorted(known)


def _known(job_id: int, items: Sequence[New]) -> set[int]:
    first: dict[str, int] = {}
    known = set()
    for at, item in enumerate(items):
        if item.key and first.setdefault(item.key, at) != at:
            known.add(at)
    if not first:
        return known
    # In order, so that two senders of the same keys wait for each other in one direction only.
    keys, now = sorted(first), timezone.now()
    with connection.cursor() as cursor:
        into = f"INSERT INTO {_KEY} (job_id, key, accepted_at)"
        if connection.vendor == "postgresql":
            cursor.execute(
                f"{into} SELECT %s, k, %s FROM unnest(%s::varchar[]) WITH ORDINALITY AS u(k, n)"
                " ORDER BY n ON CONFLICT DO NOTHING RETURNING key",
                [job_id, now, keys],
            )
        else:
            cursor.execute(
                f"{into} SELECT %s, value, %s FROM json_each(%s) WHERE true"
                " ON CONFLICT DO NOTHING RETURNING key",
                [job_id, _as_stored(now), json.dumps(keys)],
            )
        accepted = {key for (key,) in cursor.fetchall()}
    return known | {at for key, at in first.items() if key not in accepted}


def _insert(job_id: int, items: Sequence[New]) -> None:
    if not items:
        return
    now = _as_stored(timezone.now())
    with connection.cursor() as cursor:
        rows = [(job_id, one.lane, one.key, one.payload, 0, now, now) for one in items]
        if connection.vendor == "postgresql" and len(rows) > _SHORT:
            with cursor.copy(f"COPY {_ITEM} ({_COLUMNS}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        elif connection.vendor == "postgresql":
            one = "(%s, %s, %s, %s, %s, %s, %s)"
            values = ", ".join([one] * len(rows))
            flat = [value for row in rows for value in row]
            cursor.execute(f"INSERT INTO {_ITEM} ({_COLUMNS}) VALUES {values}", flat)
        else:
            cursor.executemany(
                f"INSERT INTO {_ITEM} ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)", rows
            )


def put_letters(pks: Sequence[int]) -> None:
    """Put copies of dead letters in; their payloads, which may be large, stay in the database."""
    if not pks:
        return
    now = _as_stored(timezone.now())
    marks = ", ".join(["%s"] * len(pks))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_ITEM} ({_COLUMNS}) SELECT job_id, lane, key, payload, 0, %s, %s"
            f" FROM {_LETTER} WHERE id IN ({marks}) ORDER BY item_id, id",
            [now, now, *pks],
        )


def _as_stored(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def waiting(job: Job, limit: int) -> Waiting:
    """Return what waits of a job and may be taken, up to so many items."""
    now = timezone.now()
    size = "octet_length(payload)" if connection.vendor == "postgresql" else "length(payload)"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(size), 0), min(created_at), max(created_at)"
            f" FROM (SELECT {size} AS size, created_at FROM {_ITEM}"
            " WHERE job_id = %s AND available_at <= %s ORDER BY available_at, id LIMIT %s) AS next",
            [job.id, _as_stored(now), limit],
        )
        count, payload_bytes, oldest, newest = cursor.fetchone()
    if not count:
        return Waiting(0, 0, 0.0, 0.0)
    return Waiting(count, int(payload_bytes), _age(oldest, now), _age(newest, now))


def _age(stored: Any, now: datetime) -> float:
    return max(0.0, (now - _moment(stored)).total_seconds())


def _moment(stored: Any) -> datetime:
    """Return a moment as the database's driver gives it, which for SQLite is naive or a text."""
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    found: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return found


def take(job: Job, limit: int, *, upto_id: int | None = None) -> list[Taken]:
    """Take items out, within the transaction that applies them; others skip what is locked."""
    return _claim(job, limit, upto_id, f"DELETE FROM {_ITEM}", [])


def lease(job: Job, limit: int, *, until: datetime, upto_id: int | None = None) -> list[Taken]:
    """Take items in hand until a moment; nobody else finds them until then. Counts an attempt."""
    verb = f"UPDATE {_ITEM} SET attempts = attempts + 1, available_at = %s"
    return _claim(job, limit, upto_id, verb, [_as_stored(until)], until)


def _claim(
    job: Job,
    limit: int,
    upto_id: int | None,
    verb: str,
    values: list[Any],
    lanes_until: datetime | None = None,
) -> list[Taken]:
    now = timezone.now()
    where, given = "job_id = %s AND available_at <= %s", [job.id, _as_stored(now)]
    order, lanes = "available_at, id", list[int]()
    if upto_id is not None:
        where, given = f"{where} AND id <= %s", [*given, upto_id]
    if job.ordered:
        lanes = _lanes(job, now, lanes_until)
        if not lanes:
            return []
        marks = ", ".join(["%s"] * len(lanes))
        # An item that waits for another attempt holds its lane back, see `hold_lanes`.
        where, given = f"{where} AND lane IN ({marks})", [*given, *lanes]
        order = "id"
    lock = (
        " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"{verb} WHERE id IN (SELECT id FROM {_ITEM} WHERE {where}"
            f" ORDER BY {order} LIMIT %s{lock})"
            " RETURNING id, lane, key, payload, attempts, created_at",
            [*values, *given, limit],
        )
        taken = sorted(cursor.fetchall())
    if lanes_until is not None and job.ordered:
        free_unused_lanes(job, set(lanes), {lane for _, lane, *_ in taken}, lanes_until)
    return [Taken(*row, _moment(created_at)) for *row, created_at in taken]  # type: ignore[call-arg]


def make_lanes(job: Job) -> None:
    """Make the lanes of an ordered job, before the transaction that takes items.

    A chunk that is rolled back would take them with it, and nothing could hold its lane back then.
    """
    if not Lane.objects.filter(job_id=job.id).exists():
        Lane.objects.bulk_create(
            [Lane(job_id=job.id, number=number) for number in range(LANES)], ignore_conflicts=True
        )


def _lanes(job: Job, now: datetime, until: datetime | None) -> list[int]:
    """Lock some lanes that have items, or lease them where the work is no transaction."""
    lock = (
        " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, number FROM {_LANE} AS l WHERE job_id = %s AND available_at <= %s"
            f" AND EXISTS (SELECT 1 FROM {_ITEM} AS i WHERE i.job_id = l.job_id"
            f" AND i.lane = l.number) ORDER BY available_at, random() LIMIT %s{lock}",
            [job.id, _as_stored(now), _LANES_AT_ONCE],
        )
        found = cursor.fetchall()
    if until is not None:
        Lane.objects.filter(pk__in=[pk for pk, _ in found]).update(available_at=until)
    return [number for _, number in found]


def hold_lanes(job: Job, lanes: set[int], until: datetime, *, was: datetime | None = None) -> None:
    """Let nobody take items of some lanes before a moment; one that has passed frees them.

    With `was` only those lanes that are held until then: they are the caller's still.
    """
    rows = Lane.objects.filter(job_id=job.id, number__in=lanes)
    if was is not None:
        rows = rows.filter(available_at=was)
    rows.update(available_at=until)


def free_unused_lanes(job: Job, lanes: set[int], used: set[int], until: datetime) -> None:
    """Free those of the leased lanes of which no item was taken after all."""
    if unused := lanes - used:
        hold_lanes(job, unused, timezone.now(), was=until)


def put_back(job: Job, items: Sequence[Taken]) -> None:
    """Put items back that were taken in this transaction, as they were."""
    now = timezone.now()
    Item.objects.bulk_create(
        Item(
            id=one.id,
            job_id=job.id,
            lane=one.lane,
            key=one.key,
            payload=one.payload,
            attempts=one.attempts,
            available_at=now,
            created_at=one.created_at,
        )
        for one in items
    )


def release(items: Sequence[Taken], leased_until: datetime) -> None:
    """Free leased items as if they had not been taken, where they are the caller's still."""
    ids = [one.id for one in items]
    Item.objects.filter(id__in=ids, available_at=leased_until).update(
        available_at=timezone.now(), attempts=F("attempts") - 1
    )


def put_off(waits: dict[int, float], *, attempts: int = 0) -> None:
    """Let items wait for so many seconds before the next attempt, by id; count attempts."""
    now = timezone.now()
    items = [Item(id=pk, available_at=now + timedelta(seconds=wait)) for pk, wait in waits.items()]
    Item.objects.bulk_update(items, ["available_at"], batch_size=500)
    if attempts:
        Item.objects.filter(id__in=waits).update(attempts=F("attempts") + attempts)

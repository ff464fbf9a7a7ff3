"""Errors, savepoints and two writers at once."""

import threading
from contextlib import suppress

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    connection,
    connections,
    transaction,
)

from optimizer.batches.services.bulk import bulk_delete, bulk_insert, bulk_update, bulk_upsert
from tests.batches.bulk_case import FAST_WAYS, IS_POSTGRESQL, WAYS, members, stored
from tests.library.measures import Gauge, Member, Seat

pytestmark = pytest.mark.django_db(transaction=True)
KEY = ["chat", "user"]
each_way = pytest.mark.parametrize("way", WAYS)
only_postgresql = pytest.mark.skipif(not IS_POSTGRESQL, reason="SQLite has one writer at a time")
GOOD, BAD = members(1, 2, 3), [*members(4, 5), *members(6, points=-1)]
for row in (*GOOD, *BAD):
    row.setdefault("points", 1)


def temporary_tables():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname = 'tuneup_bulk'")
        return cursor.fetchone()[0]


@each_way
def test_a_refused_call_leaves_nothing(way):
    with pytest.raises(IntegrityError):
        bulk_upsert(Member, BAD, KEY, chunk_size=1, way=way)
    assert stored(Member, "user") == []
    assert bulk_upsert(Member, GOOD, KEY, way=way).changed == 3
    if IS_POSTGRESQL:
        assert temporary_tables() == 0


@each_way
def test_a_refused_call_ends_the_transaction_around_it(way):
    with pytest.raises(IntegrityError), transaction.atomic():
        bulk_upsert(Member, GOOD, KEY, way=way)
        bulk_upsert(Member, BAD, KEY, way=way)
    assert stored(Member, "user") == []
    with transaction.atomic():
        with suppress(IntegrityError):
            bulk_upsert(Member, BAD, KEY, way=way)
        with pytest.raises(transaction.TransactionManagementError):
            bulk_upsert(Member, GOOD, KEY, way=way)
        transaction.set_rollback(True)
    assert stored(Member, "user") == []


@each_way
def test_a_savepoint_keeps_the_rest(way):
    with transaction.atomic():
        bulk_upsert(Member, GOOD, KEY, way=way)
        for _ in range(2):
            with pytest.raises(IntegrityError), transaction.atomic():
                bulk_upsert(Member, BAD, KEY, way=way)
            bulk_upsert(Gauge, [{"code": "a", "big": 1}], ["code"], way=way)  # other columns
            with pytest.raises(IntegrityError), transaction.atomic():
                bulk_update(Member, [members(1)[0] | {"points": -1}], KEY, way=way)
        assert bulk_delete(Member, members(2), KEY, way=way).changed == 1
        if IS_POSTGRESQL:
            assert temporary_tables() == 0
    assert stored(Member, "user") == [(1,), (3,)]
    assert stored(Gauge, "code") == [("a",)]


@pytest.mark.parametrize("way", FAST_WAYS)
def test_a_value_error_leaves_the_transaction_usable(way):
    with transaction.atomic():
        bulk_upsert(Member, GOOD, KEY, way=way)
        for rows in ([{"chat": 1}], members(4, points="x")):
            with pytest.raises(ValueError):
                bulk_upsert(Member, rows, KEY, way=way)
        bulk_upsert(Member, members(9), KEY, way=way)
    assert stored(Member, "user") == [(1,), (2,), (3,), (9,)]


@only_postgresql
@pytest.mark.parametrize("way", FAST_WAYS)
def test_an_error_of_the_driver_amid_the_rows(way):
    rows = [{"code": f"c{n}", "note": "\0" if n == 700 else ""} for n in range(1000)]
    with transaction.atomic():
        with pytest.raises((DataError, ValueError)), transaction.atomic():
            bulk_insert(Gauge, rows, way=way)
        assert bulk_insert(Gauge, rows[:700], way=way).changed == 700
    assert Gauge.objects.count() == 700


@each_way
def test_a_foreign_key_to_nothing_is_an_integrity_error(way):
    rows = [{"room": 1, "place": 1, "taken_by_id": 404}]
    with pytest.raises(IntegrityError):
        bulk_insert(Seat, rows, way=way)
    assert not Seat.objects.exists()


@only_postgresql
def test_a_table_of_the_same_name_is_not_touched():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tuneup_bulk (c0 bigint)")
        try:
            bulk_upsert(Member, GOOD, KEY, way="copy")
            with transaction.atomic():
                bulk_upsert(Member, members(1, points=5), KEY, way="copy")
            cursor.execute("SELECT count(*) FROM tuneup_bulk")
            assert cursor.fetchone() == (0,)
        finally:
            cursor.execute("DROP TABLE public.tuneup_bulk")


@only_postgresql
def test_the_temporary_table_follows_the_model_and_the_connection():
    bulk_upsert(Member, GOOD, KEY, way="copy")
    with connection.cursor() as cursor:  # what a pooler may do between two transactions
        cursor.execute("DISCARD ALL")
    assert bulk_upsert(Member, GOOD, KEY, way="copy").changed == 0
    connection.close()
    assert bulk_delete(Member, GOOD, KEY, way="copy").changed == 3


MANY = range(2000)
WRITES = {
    "upsert": lambda rows, way: bulk_upsert(Member, rows, KEY, way=way),
    "update": lambda rows, way: bulk_update(Member, rows, KEY, way=way),
    "delete": lambda rows, way: bulk_delete(Member, rows, KEY, way=way),
    "insert": lambda rows, way: bulk_insert(
        Member, rows, ignore_conflicts=True, unique_fields=KEY, way=way
    ),
}


@only_postgresql
@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("way", FAST_WAYS)
def test_two_writers_with_the_same_keys_do_not_deadlock(way, verb):
    """One writes every row, the other some in the opposite order, so their plans differ, too."""
    barrier, errors = threading.Barrier(2, timeout=60), list[Exception]()
    start = members(*reversed(MANY), nick="start")  # stored against the order of the keys

    def work(rows):
        try:
            for turn in range(4):
                barrier.wait()
                WRITES[verb]([row | {"nick": f"{row['nick']}{turn}"} for row in rows], way)
                if barrier.wait() == 0 and verb == "delete":
                    bulk_insert(Member, start, ignore_conflicts=True)
        except OperationalError as error:
            errors.append(error)
            barrier.abort()
        except threading.BrokenBarrierError:
            pass
        finally:
            connections.close_all()

    if verb != "insert":
        bulk_insert(Member, start)
    some = list(reversed(MANY))[:: 1 if verb in ("upsert", "insert") else 20]
    threads = [
        threading.Thread(target=work, args=(rows,))
        for rows in (members(*MANY, nick="a"), members(*some, nick="b"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []

"""What the four writes do, on every way to do them."""

import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from optimizer.batches.services import bulk_postgresql
from optimizer.batches.services.bulk import (
    Written,
    bulk_delete,
    bulk_insert,
    bulk_update,
    bulk_upsert,
)
from tests.batches.bulk_case import FAST_WAYS, IS_POSTGRESQL, WAYS, members, stored
from tests.library.measures import Gauge, LoudMember, Member, Oddity, Seat
from tests.library.models import Reader

pytestmark = pytest.mark.django_db
KEY = ["chat", "user"]
TRIPS = {"copy": 4, "unnest": 1, "executemany": 1}  # here COPY has to drop its table
each_way = pytest.mark.parametrize("way", WAYS)


@each_way
def test_upsert_inserts_and_updates(way):
    assert bulk_upsert(Member, members(1, 2), KEY, way=way).changed == 2
    found = bulk_upsert(Member, members(2, 3, nick="new"), KEY, way=way)
    assert (found.rows, found.folded, found.changed) == (2, 0, 2)
    assert stored(Member, "user", "nick") == [(1, "n1"), (2, "new"), (3, "new")]


@pytest.mark.skipif(not IS_POSTGRESQL, reason="looks at PostgreSQL's row locks")
def test_of_many_rows_those_that_are_stored_are_not_even_locked():
    many = range(1, 2001)
    bulk_upsert(Member, members(*many, topic=None), KEY)
    rows = members(*many, topic=None)
    for row in rows[::20]:
        row["nick"] = "new"
    assert bulk_upsert(Member, rows + members(5001, topic=None), KEY).changed == 101
    assert Member.objects.filter(nick="new").count() == 100
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM library_member WHERE xmax <> 0 AND nick <> 'new'")
        assert cursor.fetchone() == (0,)


@each_way
def test_unchanged_rows_write_nothing(way):
    bulk_upsert(Member, members(1, 2, 3, topic=None), KEY, way=way)
    before = stored(Member, "user", "changed", "created")
    rows = members(1, 2, 3, topic=None)
    assert bulk_upsert(Member, rows, KEY, way=way).changed == 0
    assert bulk_update(Member, rows, KEY, way=way).changed == 0
    assert stored(Member, "user", "changed", "created") == before
    assert bulk_upsert(Member, rows, KEY, skip_unchanged=False, way=way).changed == 3
    assert bulk_update(Member, rows, KEY, skip_unchanged=False, way=way).changed == 3


@pytest.mark.skipif(not IS_POSTGRESQL, reason="looks at PostgreSQL's row versions")
@pytest.mark.parametrize("way", FAST_WAYS)
def test_unchanged_rows_get_no_new_version(way):
    def versions():
        with connection.cursor() as cursor:
            cursor.execute("SELECT ctid FROM library_member ORDER BY ctid")
            return cursor.fetchall()

    bulk_upsert(Member, members(1, 2, 3), KEY, way=way)
    before = versions()
    bulk_upsert(Member, members(1, 2, 3), KEY, way=way)
    bulk_update(Member, members(1, 2, 3), KEY, way=way)
    assert versions() == before
    bulk_upsert(Member, members(1, 2, 3), KEY, skip_unchanged=False, way=way)
    assert not set(versions()) & set(before)


@each_way
def test_a_change_from_and_to_null_is_seen(way):
    bulk_upsert(Member, members(1, 2, topic=None), KEY, way=way)
    rows = [members(1, topic=5)[0], members(2, topic=None)[0]]
    assert bulk_upsert(Member, rows, KEY, way=way).changed == 1
    assert bulk_update(Member, members(1, 2, topic=None), KEY, way=way).changed == 1
    assert stored(Member, "user", "topic") == [(1, None), (2, None)]


@each_way
def test_the_last_of_a_key_wins(way):
    rows = [*members(4, 1, 4, nick="first"), *members(4, nick="last")]
    found = bulk_upsert(Member, rows, KEY, way=way)
    assert found == Written(2, 2, 2, TRIPS.get(way, found.trips))
    assert stored(Member, "user", "nick") == [(1, "first"), (4, "last")]
    found = bulk_update(Member, [*members(1), *members(1, nick="b")], KEY, way=way)
    assert (found.rows, found.folded, found.changed) == (1, 1, 1)
    assert stored(Member, "user", "nick") == [(1, "b"), (4, "last")]
    assert bulk_delete(Member, members(1, 1, 9), KEY, way=way).changed == 1


@each_way
def test_the_sequence_guards_against_stale_writes(way):
    guard = {"sequence_field": "version", "way": way}
    rows = [
        members(1, version=5, nick="five")[0],
        members(1, version=9, nick="nine")[0],
        members(1, version=7, nick="seven")[0],
        members(2, version=3, nick="three")[0],
        members(2, version=3, nick="also three")[0],
    ]
    bulk_upsert(Member, rows, KEY, **guard)
    expected = [(1, "nine", 9), (2, "also three", 3)]
    assert stored(Member, "user", "nick", "version") == expected
    for write in (bulk_upsert, bulk_update):
        stale = [members(1, version=8, nick="eight")[0], members(2, version=3, nick="same")[0]]
        assert write(Member, stale, KEY, **guard).changed == 0
        assert stored(Member, "user", "nick", "version") == expected
    # A newer sequence is stored even where nothing else differs: else 8 would pass after it.
    bulk_upsert(Member, members(1, version=10, nick="nine"), KEY, ["nick"], **guard)
    assert bulk_update(Member, members(1, version=9, nick="late"), KEY, **guard).changed == 0
    assert bulk_update(Member, members(2, version=4, nick="four"), KEY, **guard).changed == 1
    assert stored(Member, "user", "nick", "version") == [(1, "nine", 10), (2, "four", 4)]


@each_way
def test_a_stored_null_is_older_than_any_sequence(way):
    bulk_upsert(Member, members(1, 2, version=None), KEY, way=way)
    rows = [members(1, version=1, nick="new")[0], members(2, version=None, nick="new")[0]]
    for write in (bulk_upsert, bulk_update):
        found = write(Member, rows, KEY, sequence_field="version", way=way)
        assert found.changed == (1 if write is bulk_upsert else 0)
    assert stored(Member, "user", "nick", "version") == [(1, "new", 1), (2, "n2", None)]


@each_way
def test_null_in_a_key_equals_nothing(way):
    rows = [{"chat": 1, "user": user, "topic": None, "nick": "a"} for user in (1, 2)]
    found = bulk_upsert(Member, rows, ["chat", "topic"], ["nick"], way=way)
    assert (found.rows, found.folded, found.changed) == (2, 0, 2)
    assert bulk_update(Member, rows, ["chat", "topic"], ["nick"], way=way).changed == 0
    assert bulk_delete(Member, rows, ["chat", "topic"], way=way).changed == 0
    rows = [{"chat": 1, "user": 3, "topic": 8, "nick": nick} for nick in ("a", "b")]
    found = bulk_upsert(Member, rows, ["chat", "topic"], ["nick"], way=way)
    assert (found.rows, found.folded, found.changed) == (1, 1, 1)
    assert stored(Member, "user", "nick") == [(1, "a"), (2, "a"), (3, "b")]


@each_way
def test_update_fields_are_all_that_changes(way):
    bulk_upsert(Member, members(1, points=1), KEY, way=way)
    bulk_upsert(Member, members(1, 2, points=9, nick="x"), KEY, ["points"], way=way)
    assert stored(Member, "user", "nick", "points") == [(1, "n1", 9), (2, "x", 9)]
    bulk_update(Member, members(1, 2, points=5, nick="y"), KEY, ["nick"], way=way)
    assert stored(Member, "user", "nick", "points") == [(1, "y", 9), (2, "y", 9)]
    assert bulk_upsert(Member, members(2, 3, nick="z"), KEY, [], way=way).changed == 1
    assert stored(Member, "user", "nick") == [(1, "y"), (2, "y"), (3, "z")]


@each_way
def test_insert(way):
    found = bulk_insert(Member, members(2, 1), way=way)
    assert (found.rows, found.folded, found.changed) == (2, 0, 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        bulk_insert(Member, members(2), way=way)
    rows = [*members(3, nick="first"), *members(3, nick="second"), *members(2, nick="x")]
    assert bulk_insert(Member, rows, ignore_conflicts=True, way=way).changed == 1
    more = {"ignore_conflicts": True, "unique_fields": KEY, "way": way}
    assert bulk_insert(Member, members(4, 3), **more).changed == 1
    assert stored(Member, "user", "nick") == [(1, "n1"), (2, "n2"), (3, "first"), (4, "n4")]


@pytest.mark.parametrize("way", FAST_WAYS)
def test_another_conflict_than_the_named_one_is_refused(way):
    bulk_insert(Member, members(1, number=7), way=way)
    more = {"ignore_conflicts": True, "unique_fields": KEY, "way": way}
    with pytest.raises(IntegrityError), transaction.atomic():
        bulk_insert(Member, members(2, number=7), **more)


@each_way
def test_update_and_delete_find_all_that_match(way):
    bulk_insert(Member, members(1, 2, 3), way=way)
    rows = [{"chat": 1, "nick": "all"}, {"chat": 8, "nick": "none"}]
    assert bulk_update(Member, rows, ["chat"], way=way).changed == 3
    assert stored(Member, "user", "nick") == [(n, "all") for n in (1, 2, 3)]
    rows = [{"user": 2}, {"user": 3}, {"user": 4}]
    assert bulk_delete(Member, rows, ["user"], way=way).changed == 2
    assert stored(Member, "user") == [(1,)]


@each_way
def test_chunks(way):
    rows = members(*range(25))
    found = bulk_upsert(Member, rows, KEY, chunk_size=10, way=way)
    assert found.changed == 25
    assert (
        bulk_update(Member, members(*range(25), nick="u"), KEY, chunk_size=7, way=way).changed == 25
    )
    assert bulk_delete(Member, rows, KEY, chunk_size=10, way=way).changed == 25
    if way in ("unnest", "executemany"):
        assert found.trips == 3


@each_way
def test_ids_given_and_not_given(way):
    bulk_insert(Gauge, [{"id": 70, "code": "a"}, {"id": None, "code": "b"}], way=way)
    ids = dict(Gauge.objects.values_list("code", "id"))
    assert ids["a"] == 70 and ids["b"] not in (None, 70)
    rows: list[dict] = [
        {"pk": 70, "code": "c"},
        {"pk": None, "code": "d"},
        {"pk": 900, "code": "e"},
    ]
    found = bulk_upsert(Gauge, rows, ["pk"], way=way)
    assert (found.rows, found.changed) == (3, 3)
    ids = dict(Gauge.objects.values_list("code", "id"))
    assert set(ids) == {"b", "c", "d", "e"} and (ids["c"], ids["e"]) == (70, 900)


@pytest.mark.parametrize("way", FAST_WAYS)
def test_odd_names(way):
    rows: list[dict] = [{"order": "a", "share": 1, "s": 5}, {"order": "b", "share": None, "s": 6}]
    assert bulk_upsert(Oddity, rows, ["order"], way=way).changed == 2
    assert bulk_upsert(Oddity, rows, ["order"], way=way).changed == 0
    rows[1]["share"] = 9
    assert bulk_update(Oddity, rows, ["order"], way=way).changed == 1
    with connection.cursor() as cursor:
        cursor.execute('SELECT "the order\'s", "share in %", "%s" FROM "Odd table" ORDER BY 1')
        assert cursor.fetchall() == [("a", 1, 5), ("b", 9, 6)]
    assert bulk_delete(Oddity, rows[:1], ["order"], way=way).changed == 1


@each_way
def test_proxies_and_composite_keys(way):
    bulk_upsert(LoudMember, members(1), KEY, way=way)
    assert Member.objects.get().user == 1
    rows: list[dict] = [{"room": 1, "place": place, "taken_by": None} for place in (1, 2)]
    assert bulk_upsert(Seat, rows, ["pk"], way=way).changed == 2
    rows[0]["taken_by"] = Reader.objects.create(name="r")
    assert bulk_upsert(Seat, rows, ["place", "room"], way=way).changed == 1
    assert bulk_delete(Seat, rows[:1], ["pk"], way=way).changed == 1
    assert stored(Seat, "place", "taken_by") == [(2, None)]


@each_way
def test_a_generator_and_an_empty_one(way):
    assert bulk_upsert(Member, (row for row in members(1, 2)), KEY, way=way).changed == 2
    assert bulk_upsert(Member, iter(()), KEY, way=way) == Written(0, 0, 0, 0)
    assert bulk_delete(Member, [], KEY, way=way) == Written(0, 0, 0, 0)


@each_way
def test_auto_now_moves_only_with_another_change(way):
    old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    bulk_insert(Member, members(1, 2), way=way)
    Member.objects.update(created=old, changed=old)
    for write in (bulk_upsert, bulk_update):
        rows = [*members(1), *members(2, nick=write.__name__[5:])]
        assert write(Member, rows, KEY, ["nick"], way=way).changed == 1
        one, two = Member.objects.order_by("user")
        assert one.changed == old and two.changed > old
        assert one.created == two.created == old
        Member.objects.update(changed=old)


@pytest.mark.skipif(not IS_POSTGRESQL, reason="PostgreSQL's ways by number of rows")
def test_few_rows_go_as_arrays_and_many_by_copy():
    many = bulk_postgresql.COPY_FROM_ROWS
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert bulk_upsert(Member, members(*range(many - 1)), KEY).trips == 1
    assert "unnest" in few.captured_queries[-1]["sql"]
    with CaptureQueriesContext(connection) as more:
        assert bulk_upsert(Member, members(*range(many)), KEY).trips == 4
    assert any("COPY" in one["sql"] for one in more.captured_queries)

"""What is stored is what Django would have stored: every field type, every default."""

import datetime as dt
import ipaddress
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import DataError, connection, transaction
from django.db.models import TextChoices, Value
from django.utils import timezone
from django.utils.safestring import mark_safe

from optimizer.batches.services.bulk import bulk_insert, bulk_update, bulk_upsert
from tests.batches.bulk_case import FAST_WAYS, IS_POSTGRESQL, WAYS, members, stored
from tests.library.measures import Gauge, Member, Receipt, Seat, Stamp
from tests.library.models import Language, Reader

pytestmark = pytest.mark.django_db
each_way = pytest.mark.parametrize("way", WAYS)
NAMES = [field.name for field in Gauge._meta.concrete_fields if field.name not in ("id", "code")]
ROME = ZoneInfo("Europe/Rome")
PLAIN = {
    "big": 2**62,
    "small": 30_000,
    "number": 0.1 + 0.2,
    "flag": True,
    "price": Decimal("12345678.90"),
    "day": dt.date(2024, 2, 29),
    "at": dt.datetime(2024, 3, 1, 12, 30, 15, 123456, tzinfo=dt.UTC),
    "clock": dt.time(23, 59, 59, 999999),
    "span": dt.timedelta(days=-3, microseconds=7),
    "token": uuid.UUID(int=7),
    "note": "tab\t newline\n back\\slash \\N \\. 'quote' \"double\" {brace} né 🙂",
    "data": {"a": [1, None, "x\n"], "b": {"c": 1.5}},
    "raw": b"\x00\xff\\",
    "address": "2001:db8::1",
    "mirrored": "abc",
}
AS_PEOPLE_GIVE_IT = {
    "big": "42",
    "small": True,
    "number": 3,
    "flag": 1,
    "price": "7.5",
    "day": "2024-02-29",
    "at": dt.datetime(2024, 3, 1, 12, 30, tzinfo=ROME),
    "clock": "10:11:12",
    "span": dt.timedelta(0),
    "token": "12345678123456781234567812345678",
    "note": mark_safe("<b>"),
    "data": [],
    "raw": memoryview(b"xyz"),
    "address": "::ffff:10.0.0.1",
    "mirrored": 12,
}
NOTHING = dict.fromkeys(PLAIN, None) | {"big": -1, "small": 0, "number": -0.0, "note": ""}


class Mood(TextChoices):
    GOOD = "good", "Good"


def values_of(code):
    (values,) = Gauge.objects.filter(code=code).values(*NAMES)
    raw = values.pop("raw")
    return values | {"raw": None if raw is None else bytes(raw)}


@each_way
@pytest.mark.parametrize("row", [PLAIN, AS_PEOPLE_GIVE_IT, NOTHING], ids=["plain", "given", "null"])
def test_every_field_is_stored_as_django_stores_it(way, row):
    Gauge.objects.bulk_create([Gauge(code="django", **row)])
    for code, kept in (("one", {}), ("two", {"raw": None, "address": None})):
        given = row | kept | {"code": code}  # with the rest, PostgreSQL takes the binary format
        bulk_insert(Gauge, [given], way=way)
        assert values_of(code) == values_of("django") | kept
        assert bulk_upsert(Gauge, [given], ["code"], way=way).changed == 0
        given = PLAIN | kept | {"code": code, "big": 5}
        assert bulk_update(Gauge, [given], ["code"], way=way).changed == 1
        assert bulk_upsert(Gauge, [row | kept | {"code": code}], ["code"], way=way).changed == 1
        assert values_of(code) == values_of("django") | kept


@pytest.mark.parametrize("way", FAST_WAYS)
def test_what_is_stored_is_the_same_to_the_byte(way):
    Gauge.objects.bulk_create([Gauge(code="django", **PLAIN)])
    bulk_insert(Gauge, [PLAIN | {"code": "ours"}], way=way)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(NAMES)} FROM library_gauge")  # noqa: S608
        one, other = cursor.fetchall()
    assert list(map(bytes_of, one)) == list(map(bytes_of, other))


def bytes_of(value):
    return bytes(value) if isinstance(value, memoryview) else (type(value), value)


@each_way
def test_mixed_types_in_one_column(way):
    given = [("a", 1), ("b", "2"), ("c", True), ("d", 4.0)]
    bulk_insert(Gauge, [{"code": code, "big": value} for code, value in given], way=way)
    assert stored(Gauge, "code", "big") == [("a", 1), ("b", 2), ("c", 1), ("d", 4)]
    bulk_insert(Gauge, [{"code": Mood.GOOD, "note": Mood.GOOD}], way=way)
    assert Gauge.objects.get(code="good").note == "good"


@each_way
def test_defaults_where_rows_give_nothing(way):
    before = timezone.now()
    rows = [{"chat": 1, "user": n} for n in (1, 2)]
    bulk_upsert(Member, rows, ["chat", "user"], way=way)
    one, two = Member.objects.order_by("user")
    assert (one.nick, one.points, one.level, one.topic, one.doubled) == ("", 3, 7, None, 6)
    assert one.token != two.token
    assert before <= one.created <= one.changed <= timezone.now()


@pytest.mark.parametrize("way", FAST_WAYS)
def test_times_that_a_mapping_gives_are_kept(way):
    old = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    rows = members(1, created=old, changed=old)
    bulk_upsert(Member, rows, ["chat", "user"], way=way)
    assert stored(Member, "created", "changed") == [(old, old)]
    assert bulk_upsert(Member, rows, ["chat", "user"], way=way).changed == 0
    rows = members(1, created=old, changed=None, nick="x")
    bulk_upsert(Member, rows, ["chat", "user"], ["nick", "changed"], way=way)
    assert Member.objects.get().changed > old


@each_way
def test_instances(way):
    rows = [Member(chat=1, user=n, nick="a") for n in (1, 2)] + [Member(id=50, chat=1, user=3)]
    assert bulk_upsert(Member, rows, ["chat", "user"], way=way).changed == 3
    assert stored(Member, "user", "nick", "level") == [(1, "a", 7), (2, "a", 7), (3, "", 7)]
    first, second = Member.objects.order_by("user")[:2]
    assert (first.token, second.token) == (rows[0].token, rows[1].token)
    loaded = list(Member.objects.order_by("user"))
    loaded[0].nick = "b"
    assert bulk_upsert(Member, loaded, ["chat", "user"], way=way).changed == 1
    again = Member.objects.get(user=1)
    assert (again.nick, again.created) == ("b", first.created)
    assert again.changed > first.changed
    assert Member.objects.get(user=2).changed == second.changed
    loaded[1].level = 9
    assert bulk_update(Member, loaded, ["id"], way=way).changed == 1


@each_way
def test_instances_left_partly_in_the_database(way):
    bulk_insert(Member, members(1), way=way)
    deferred = list(Member.objects.only("chat", "user", "nick"))
    deferred[0].nick = "x"
    assert bulk_update(Member, deferred, ["chat", "user"], ["nick"], way=way).changed == 1
    with pytest.raises(ValueError, match="row 0: level, .* is deferred"):
        bulk_upsert(Member, deferred, ["chat", "user"], ["nick"], way=way)
    assert stored(Member, "user", "nick") == [(1, "x")]


@each_way
def test_foreign_keys_by_either_name(way):
    reader = Reader.objects.create(name="r")
    german = Language.objects.create(name="German", code="de")
    rows: list[dict] = [
        {"room": 1, "place": 1, "taken_by": reader, "language": german},
        {"room": 1, "place": 2, "taken_by": None, "language": "de"},
        {"room": 1, "place": 3, "taken_by": str(reader.pk), "language": None},
    ]
    bulk_insert(Seat, rows, way=way)
    rows = [{"room": 1, "place": 2, "taken_by_id": reader.pk, "language_id": "de"}]
    assert bulk_upsert(Seat, rows, ["room", "place"], way=way).changed == 1
    assert stored(Seat, "place", "taken_by", "language") == [
        (1, reader.pk, "de"),
        (2, reader.pk, "de"),
        (3, reader.pk, None),
    ]
    with pytest.raises(ValueError, match="is not saved"):
        bulk_insert(Seat, [{"room": 2, "place": 1, "taken_by": Reader(name="x")}], way=way)


@each_way
def test_fields_that_make_their_own_value(way):
    bulk_upsert(Receipt, [{"code": "a"}, {"code": "b"}], ["code"], way=way)
    assert stored(Receipt, "line") == [("a, added",), ("b, added",)]


def test_fields_that_only_django_can_write():
    rows = [{"code": "a", "text": "loud"}, {"code": "b", "text": "louder"}]
    assert bulk_upsert(Stamp, rows, ["code"]).changed == 2
    rows[0]["text"] = "silent"
    bulk_upsert(Stamp, rows, ["code"])
    assert stored(Stamp, "code", "text") == [("a", "SILENT"), ("b", "LOUDER")]
    with pytest.raises(ValueError, match="allowed are orm"):
        bulk_upsert(Stamp, rows, ["code"], way=FAST_WAYS[0])


@pytest.mark.parametrize("way", FAST_WAYS)
def test_what_the_database_refuses_is_an_error_of_django(way):
    with pytest.raises(DataError), transaction.atomic():
        bulk_insert(Gauge, [{"code": "a", "big": 2**70}], way=way)
    if IS_POSTGRESQL:
        for name, value in (("small", 2**20), ("code", "x" * 13), ("note", "\0")):
            row = {"code": "a", "big": 1} | {name: value}
            with pytest.raises((DataError, ValueError)), transaction.atomic():
                bulk_insert(Gauge, [row], way=way)
    assert not Gauge.objects.exists()


@pytest.mark.parametrize("way", FAST_WAYS)
def test_a_value_that_its_field_refuses_names_its_row(way):
    rows: list[dict] = [{"code": "a", "big": 1}, {"code": "b", "big": "one"}]
    with pytest.raises(ValueError) as caught:
        bulk_insert(Gauge, rows, way=way)
    assert caught.value.__notes__ == ["row 1, field 'big'"]
    with pytest.raises(ValueError, match="row 0: 'big' is an expression"):
        bulk_insert(Gauge, [{"code": "a", "big": Value(1) + 1}], way=way)
    assert not Gauge.objects.exists()


@pytest.mark.parametrize("way", FAST_WAYS)
def test_keys_of_every_kind_are_sorted_and_folded(way):
    given = [Decimal("2.50"), "1.5", Decimal("2.5"), None]
    rows = [{"code": f"c{n}", "price": value} for n, value in enumerate(given)]
    bulk_insert(Gauge, rows, way=way)
    rows = [{"price": value, "note": f"n{n}"} for n, value in enumerate(given)]
    found = bulk_update(Gauge, rows, ["price"], way=way)
    assert (found.rows, found.folded, found.changed) == (3, 1, 3)
    assert stored(Gauge, "code", "note") == [("c0", "n2"), ("c1", "n1"), ("c2", "n2"), ("c3", "")]
    rows = [{"address": str(ipaddress.ip_address(n)), "code": f"c{n}"} for n in (3, 1, 2)]
    assert bulk_update(Gauge, rows, ["address"], way=way).changed == 0

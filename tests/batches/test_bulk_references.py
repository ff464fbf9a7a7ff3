"""Foreign keys that point at nothing are told before the write."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from optimizer.batches.services.bulk import missing_references
from tests.library.measures import Gauge, Member, Seat
from tests.library.models import Language, Reader

pytestmark = pytest.mark.django_db


def test_the_rows_whose_keys_are_stored_nowhere():
    reader = Reader.objects.create(name="r")
    Language.objects.create(name="German", code="de")
    rows = [
        {"room": 1, "place": number, "taken_by": taken_by, "language": language}
        for number, (taken_by, language) in enumerate(
            [
                (reader, "de"),
                (None, None),
                (reader.pk + 1, "de"),
                (str(reader.pk), "xx"),
                (reader.pk + 1, "xx"),
                (reader.pk, None),
            ]
        )
    ]
    with CaptureQueriesContext(
        connection,
    ) as sent:
        assert missing_references(Seat, rows) == [2, 3, 4]
    assert len(sent) == 2  # one a foreign key
    by_column = [{"taken_by_id": row["taken_by"]} for row in rows[1:3]]
    with CaptureQueriesContext(connection) as sent:
        assert missing_references(Seat, by_column) == [1]
    assert len(sent) == 1
    seats = [Seat(room=1, place=1, taken_by=reader), Seat(room=1, place=2, language_id="xx")]
    assert missing_references(Seat, seats) == [1]


def test_nothing_to_look_for_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert missing_references(Member, [{"chat": 1}]) == []
        assert missing_references(Seat, []) == []
        assert missing_references(Gauge, iter([{"code": "a"}])) == []
        assert missing_references(Seat, [{"taken_by": None}]) == []


def test_many_keys_go_in_one_query(django_assert_num_queries):
    Reader.objects.bulk_create(Reader(name=f"r{n}") for n in range(5))
    known = list(Reader.objects.values_list("pk", flat=True))
    rows = [{"taken_by": key} for key in range(min(known), min(known) + 20_000)]
    with django_assert_num_queries(1):
        assert missing_references(Seat, rows) == list(range(5, 20_000))

"""Whatever rows come, the same is stored as by Django's own methods, or by a plain loop."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optimizer.batches.services.bulk import bulk_update, bulk_upsert
from tests.batches.bulk_case import WAYS
from tests.library.measures import Gauge, Member

pytestmark = pytest.mark.django_db
each_way = pytest.mark.parametrize("way", WAYS)
quickly = settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KEY, VALUES = ["chat", "user"], ["nick", "points", "version"]
rows_of_members = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.integers(0, 6),
            "nick": st.sampled_from(["", "a", "b"]),
            "points": st.integers(0, 2),
            "version": st.none() | st.integers(0, 3),
        }
    ),
    max_size=12,
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
times = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC))
rows_of_gauges = st.lists(
    st.fixed_dictionaries(
        {
            "code": st.integers(0, 9).map(str),
            "note": texts,
            "big": st.integers(-(2**63), 2**63 - 1),
            "number": st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
            "flag": st.none() | st.booleans(),
            "price": st.none() | st.decimals(-99999, 99999, places=2),
            "at": st.none() | times,
            "data": st.none() | st.dictionaries(texts, st.integers(-9, 9) | texts | st.booleans()),
            "mirrored": st.none() | texts,
        }
    ),
    min_size=1,
    max_size=8,
)


def stored(chat):
    return list(Member.objects.filter(chat=chat).order_by("user").values_list("user", *VALUES))


@each_way
@quickly
@given(before=rows_of_members, rows=rows_of_members, skip=st.booleans(), chunk=st.integers(1, 5))
def test_as_update_or_create_one_by_one(way, before, rows, skip, chunk):
    Member.objects.all().delete()
    for chat in (1, 2):
        for row in before:
            Member.objects.update_or_create(chat=chat, user=row["user"], defaults=row)
    ours = [row | {"chat": 1} for row in rows]
    bulk_upsert(Member, ours, KEY, skip_unchanged=skip, chunk_size=chunk, way=way)
    for row in rows:
        Member.objects.update_or_create(chat=2, user=row["user"], defaults=row)
    assert stored(1) == stored(2)
    changed = [row | {"chat": 1, "points": row["points"] + 1} for row in rows]
    bulk_update(Member, changed, KEY, ["points"], skip_unchanged=skip, chunk_size=chunk, way=way)
    for row in rows:
        Member.objects.filter(chat=2, user=row["user"]).update(points=row["points"] + 1)
    assert stored(1) == stored(2)


@each_way
@quickly
@given(before=rows_of_members, rows=rows_of_members)
def test_as_a_loop_that_looks_at_the_sequence(way, before, rows):
    Member.objects.all().delete()
    expected: dict[int, dict] = {}
    for batch in (before, rows):
        best: dict[int, dict] = {}
        for row in batch:
            if row["user"] not in best or _age(row) >= _age(best[row["user"]]):
                best[row["user"]] = row
        for user, row in best.items():
            if user not in expected or _age(row) > _age(expected[user]):
                expected[user] = row
        ours = [row | {"chat": 1} for row in batch]
        found = bulk_upsert(Member, ours, KEY, sequence_field="version", way=way)
        assert (found.rows, found.folded) == (len(best), len(batch) - len(best))
        assert {user: values for user, *values in stored(1)} == {
            user: [row[name] for name in VALUES] for user, row in expected.items()
        }


def _age(row):
    return -1 if row["version"] is None else row["version"]


@each_way
@quickly
@given(before=rows_of_gauges, rows=rows_of_gauges)
def test_as_bulk_create(way, before, rows):
    Gauge.objects.all().delete()
    names = [name for name in rows[0] if name != "code"]
    for batch in (before, rows):
        bulk_upsert(Gauge, [row | {"code": f"o{row['code']}"} for row in batch], ["code"], way=way)
        folded = {row["code"]: row for row in batch}.values()
        Gauge.objects.bulk_create(
            [Gauge(**row | {"code": f"d{row['code']}"}) for row in folded],
            update_conflicts=True,
            unique_fields=["code"],
            update_fields=names,
        )
        ours, theirs = (
            list(Gauge.objects.filter(code__startswith=one).order_by("code").values(*names))
            for one in "od"
        )
        assert ours == theirs
    again = [row | {"code": f"o{row['code']}"} for row in folded]
    assert bulk_upsert(Gauge, again, ["code"], way=way).changed == 0

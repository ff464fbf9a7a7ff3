"""What the detector finds in the corpus: the figures that it must reach, and where it fails."""

import pytest

from optimizer.queries import watch
from optimizer.queries.engine.fingerprint import shape_of
from optimizer.queries.services import capture
from tests.queries.case import DUPLICATE, UNUSED
from tests.queries.corpus import load
from tests.queries.harness import examine

CASES = load()


def each():
    own, usual = pytest.mark.django_db(transaction=True), pytest.mark.django_db
    return pytest.mark.parametrize(
        "case",
        [pytest.param(one, marks=own if one.committed else usual, id=one.name) for one in CASES],
    )


@each()
def test_a_case_is_judged_right(case):
    errors = capture.errors
    result = examine(case, watch)
    assert result.crash == ""
    assert capture.errors == errors
    assert result.false == []
    assert result.wrong == set()
    assert result.noise == []
    if case.healthy:
        return
    assert result.found
    if not {DUPLICATE, UNUSED} & set(case.kinds):
        assert result.line
        assert result.fix


def test_rows_that_postgresql_unnests_are_one_batch():
    sql = 'INSERT INTO "t" ("a", "b") SELECT * FROM UNNEST((%s)::integer[], (%s)::varchar[])'
    assert shape_of(sql).is_batch
    assert not shape_of('INSERT INTO "t" ("a", "b") VALUES (%s, %s)').is_batch

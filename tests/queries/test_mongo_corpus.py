"""What the detector finds in the MongoDB corpus; the labels are shown true by growth."""

import pytest

from optimizer.queries import watch
from optimizer.queries.services import capture
from tests.queries.harness import SILENT, is_at
from tests.queries.mongo_case import DUPLICATE, MongoCase, run_case
from tests.queries.mongo_corpus import load

pytestmark = pytest.mark.any_database

CASES = load()
POSITIVE = [one for one in CASES if one.kind]
HEALTHY = [one for one in CASES if not one.kind]


def each(cases: list[MongoCase]):
    return pytest.mark.parametrize("case", [pytest.param(one, id=one.name) for one in cases])


@each([one for one in POSITIVE if one.kind != DUPLICATE])
def test_a_positive_grows_with_its_documents_and_its_twin_does_not(case, mongo_url):
    (few, _, small), (many, _, large) = (run_case(mongo_url, case.run, rows=n) for n in (3, 6))
    (few_of_twin, _, one), (many_of_twin, _, other) = (
        run_case(mongo_url, case.twin, rows=n) for n in (3, 6)
    )
    assert large - small >= 3
    assert (few, many) == (few_of_twin, many_of_twin)
    assert few != many
    if case.run.__name__ != "bulk_of_one_each":  # whose twin is one operation of many commands
        assert one == other


@each(POSITIVE)
def test_a_positive_is_found_at_its_line_with_its_fix(case, mongo_url):
    errors = capture.errors
    _, found, _ = run_case(mongo_url, case.run, watch)
    assert [one.kind for one in found if one.kind in SILENT] == [case.kind]
    (finding,) = (one for one in found if one.kind == case.kind)
    assert is_at(finding.location, case.lines), finding.location
    assert case.fixed_by(finding.suggestion), finding.suggestion
    assert finding.count >= 6
    assert finding.seconds > 0
    assert finding.sql.startswith("db.")
    assert capture.errors == errors


@each(POSITIVE)
def test_its_twin_is_in_order(case, mongo_url):
    _, found, _ = run_case(mongo_url, case.twin, watch)
    assert found == []


@each(HEALTHY)
def test_healthy_code_is_let_be(case, mongo_url):
    errors = capture.errors
    _, found, sent = run_case(mongo_url, case.run, watch)
    assert [one for one in found if one.kind not in case.accepted] == []
    assert [one.kind for one in found] == sorted(case.accepted)  # a label that is used
    assert sent > 2
    assert capture.errors == errors


def test_the_corpus_is_complete():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(POSITIVE) >= 24
    assert len(HEALTHY) >= 16
    assert all(case.lines for case in POSITIVE)

"""The labels of the corpus are true: shown by growth, with no detector at all."""

import inspect
import re
from collections import Counter

import pytest

from tests.queries.case import DUPLICATE, N_PLUS_ONE, UNUSED, WRITE, Case
from tests.queries.corpus import load
from tests.queries.harness import ROWS, growth, measure

pytestmark = [pytest.mark.any_database, pytest.mark.any_python]

CASES = load()
LOOPS = [case for case in CASES if {N_PLUS_ONE, WRITE} & set(case.kinds)]
OTHERS = [case for case in CASES if not case.healthy and case not in LOOPS]
HEALTHY = [case for case in CASES if case.healthy]


def each(cases: list[Case]):
    """Give those whose rows must be committed a database of their own."""
    own = pytest.mark.django_db(transaction=True)
    usual = pytest.mark.django_db
    return pytest.mark.parametrize(
        "case",
        [pytest.param(one, marks=own if one.committed else usual, id=one.name) for one in cases],
    )


def plain(statement: str) -> str:
    """Return the statement without the name of a server-side cursor."""
    return re.sub('_django_curs_[^"]*', "", statement)


@each(LOOPS)
def test_a_positive_grows_with_its_rows_and_its_twin_does_not(case):
    (small, few), (large, many) = (measure(case, n, case.run, case.twin) for n in ROWS)
    assert len(large.statements) - len(small.statements) >= ROWS[1] - ROWS[0]
    assert len(few.statements) == len(many.statements)
    assert (few.result, many.result) == (small.result, large.result)
    assert small.result != large.result or not small.result


@each(OTHERS)
def test_what_is_done_in_vain_is_not_done_by_the_twin(case):
    run, twin = measure(case, ROWS[1], case.run, case.twin)
    assert run.result == twin.result
    if DUPLICATE in case.kinds:
        assert max(Counter(map(plain, run.statements)).values()) > 1
        assert max(Counter(map(plain, twin.statements)).values()) == 1
    else:
        assert UNUSED in case.kinds
        assert len("".join(run.statements)) > len("".join(twin.statements))


@each(HEALTHY)
def test_a_healthy_case_grows_no_more_than_its_label(case):
    grown = growth(case, case.run)
    assert grown <= case.growth
    assert grown > 0 or not case.growth, "the label allows what does not happen"


def test_the_corpus_is_complete():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(LOOPS) >= 180
    assert len(HEALTHY) >= 110
    for case in CASES:
        if not case.healthy:
            assert case.twin is not None
            assert case.fixes, case.name
            assert case.lines, case.name
            assert case.change, case.name


def test_no_fix_takes_the_broken_code_for_its_own_repair():
    for case in LOOPS + OTHERS:
        assert not case.fixed_by(inspect.getsource(case.run)), case.name
        for suggestion in ('select_related("elsewhere")', 'prefetch_related("elsewhere")'):
            assert not case.fixed_by(suggestion), case.name
            assert case.wrong_relations(suggestion) == {"elsewhere"}

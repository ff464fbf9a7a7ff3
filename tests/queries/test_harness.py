"""The harness scores what a detector says, shown by two: one that knows all, one that is simple."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from tests.queries.case import Case, annotated, join, narrowed, prefetch
from tests.queries.corpus import load
from tests.queries.harness import examine, is_at, score, table

pytestmark = pytest.mark.any_database

CASES = {case.name: case for case in load()}


@contextmanager
def simple() -> Iterator[list[Any]]:
    """Find the same text with other parameters, sent from one line of this thread."""
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)
    findings: list[Any] = []

    def watch(execute, sql, params, many, context):
        frame: Any = sys._getframe(1)
        ours = f"{settings.BASE_DIR}/tests/"
        while not frame.f_code.co_filename.startswith(ours):
            frame = frame.f_back
        seen[(f"{frame.f_code.co_filename}:{frame.f_lineno}", sql)].add(repr(params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield findings
    for (location, sql), parameters in seen.items():
        if len(parameters) > 1:
            kind = "n_plus_one" if sql.startswith("SELECT") else "write_n_plus_one"
            text = 'select_related("publisher")'
            found = {"kind": kind, "location": location, "suggestion": text, "sql": sql}
            findings.append(SimpleNamespace(count=len(parameters), **found))


@contextmanager
def silent() -> Iterator[list[Any]]:
    yield []


@contextmanager
def breaking() -> Iterator[list[Any]]:
    yield []
    raise TypeError("broken")


@pytest.mark.django_db
def test_a_found_case_is_scored_by_line_and_fix():
    result = examine(CASES["forward.loop"], simple)
    assert (result.found, result.line, result.fix, result.false) == (True, True, True, [])
    result = examine(CASES["reverse.loop"], simple)
    assert (result.found, result.line, result.fix) == (True, True, False)
    assert result.wrong == {"publisher"}


@pytest.mark.django_db
def test_a_line_in_a_helper_is_the_helpers():
    assert examine(CASES["forward.in_helper"], simple).line
    assert examine(CASES["forward.in_property"], simple).line
    assert examine(CASES["writes.save"], simple).line


@pytest.mark.django_db
def test_alarms_and_misses_are_counted():
    names = ("forward.loop", "reverse.loop", "healthy_batches.keyset", "healthy_reads.union")
    results = [examine(CASES[name], simple) for name in names]
    figures = score(results)
    assert (figures.positives, figures.true, figures.false) == (2, 2, ["healthy_batches.keyset"])
    assert figures.precision == pytest.approx(2 / 3)
    nothing = score([examine(CASES[name], silent) for name in names])
    assert (nothing.recall, nothing.missed) == (0.0, ["forward.loop", "reverse.loop"])
    assert "0.667" in table({"simple": results})


@pytest.mark.django_db
def test_a_detector_that_breaks_the_program_is_told():
    assert examine(CASES["healthy_reads.union"], breaking).crash == "TypeError('broken')"


@pytest.mark.parametrize(
    ("fix", "right", "wrong"),
    [
        (join("a__b"), '.select_related("x", "a__b")', 'select_related("a")'),
        (join("a"), "prefetch_related('a')", 'select_related("a__b")'),
        (prefetch("a__b"), 'prefetch_related("a", "a__b")', 'select_related("a__b")'),
        (
            prefetch("a__b"),
            'prefetch_related(Prefetch("a", queryset=A.objects.prefetch_related("b")))',
            'Prefetch("b", queryset=B.objects.all())',
        ),
        (narrowed("a"), 'Prefetch("a", queryset=A.objects.filter(b=1))', 'prefetch_related("a")'),
        (annotated("Count", "a"), 'annotate(n=Count("a"))', 'annotate(n=Count("b"))'),
    ],
)
def test_fixes_take_what_is_right_and_refuse_what_is_not(fix, right, wrong):
    assert fix.accepts(right)
    assert not fix.accepts(wrong)


def test_relations_are_judged_with_what_the_line_loads_already():
    case: Case = CASES["forward.other_relation_is_joined"]
    assert case.wrong_relations('select_related("editor", "author")') == set()
    assert case.wrong_relations('select_related("author__publisher")') == {"author__publisher"}
    nested = CASES["nested.three_levels"]
    deep = 'Prefetch("authors__books", queryset=Book.objects.prefetch_related("reviews"))'
    assert nested.wrong_relations(deep) == set()


def test_a_location_may_have_a_longer_path():
    lines = CASES["templates.forward"].lines
    assert is_at("/work/tests/library/templates/library/publishers.html:3", lines)
    assert not is_at("library/publishers.html:4", lines)

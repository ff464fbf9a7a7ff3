"""Runs cases on a real database: what grows with the rows, and what a detector says of it.

A detector is a callable that gives a context manager; its value is a list of findings with
`kind`, `location`, `suggestion`, `count` and `sql`, complete when the block has ended:

    results = [examine(case, watch) for case in load()]
    print(table({"ours": results}))
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext

from tests.library.filling import fill
from tests.queries.case import DUPLICATE, N_PLUS_ONE, UNUSED, WRITE, Case

ROWS = (3, 6)
LOOPS = {N_PLUS_ONE, WRITE}
SILENT = {*LOOPS, DUPLICATE, UNUSED}  # `slow` depends on the machine, `review` is a question


class Finding(Protocol):
    kind: str
    location: str
    suggestion: str
    count: int
    sql: str


Detector = Callable[[], AbstractContextManager[list[Any]]]


@contextmanager
def rows(case: Case, count: int) -> Iterator[None]:
    """Give the case its rows, and take away everything that it leaves."""
    ContentType.objects.clear_cache()  # so that each run asks for the same
    if not case.committed:
        with transaction.atomic():
            fill(count)
            yield
            transaction.set_rollback(True)
        return
    fill(count)
    try:
        yield
    finally:
        empty()


def empty() -> None:
    """Remove every row of the test app."""
    models = apps.get_app_config("library").get_models(include_auto_created=True)
    tables = [model._meta.db_table for model in models if not model._meta.proxy]
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            names = ", ".join(connection.ops.quote_name(table) for table in tables)
            cursor.execute(f"TRUNCATE {names}")
        else:
            for table in tables:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608


@contextmanager
def captured() -> Iterator[list[str]]:
    """Collect the SQL of every connection, also of those that other threads open."""
    statements: list[str] = []
    opened: dict[int, tuple[Any, int]] = {}

    def note(connection: Any, **_: Any) -> None:
        connection.force_debug_cursor = True
        opened.setdefault(id(connection), (connection, len(connection.queries_log)))

    with ExitStack() as stack:
        contexts = [
            stack.enter_context(CaptureQueriesContext(one))
            for one in connections.all(initialized_only=True)
        ]
        connection_created.connect(note)
        stack.callback(connection_created.disconnect, note)
        yield statements
        for context in contexts:
            statements += [query["sql"] for query in context.captured_queries]
        for one, known in opened.values():
            statements += [query["sql"] for query in [*one.queries_log][known:]]


@dataclass(frozen=True)
class Run:
    result: object
    statements: list[str]


def measure(case: Case, count: int, *functions: Callable[[], object]) -> list[Run]:
    """Run each on the same rows, without a detector; a committed case only reads."""
    runs = []
    with rows(case, count):
        for function in functions:
            with nullcontext() if case.committed else transaction.atomic():
                with captured() as statements:
                    result = function()
                if not case.committed:
                    transaction.set_rollback(True)
            runs.append(Run(result, statements))
    return runs


def growth(case: Case, function: Callable[[], object]) -> int:
    """Return how many queries more twice the rows cost."""
    small, large = (measure(case, count, function)[0] for count in ROWS)
    return len(large.statements) - len(small.statements)


@dataclass
class Result:
    """What a detector said of one case."""

    case: Case
    found: bool = False
    line: bool = False
    fix: bool = False
    place: bool = False  # the suggestion or the location names the line to change
    wrong: set[str] = field(default_factory=set)
    false: list[str] = field(default_factory=list)  # N+1 alarms where there is none
    noise: list[str] = field(default_factory=list)  # alarms of other kinds where all is well
    crash: str = ""


def examine(case: Case, detector: Detector) -> Result:
    """Run a case and its twin under a detector."""
    result = Result(case)
    try:
        findings = watched(case, case.run, detector)
    except Exception as error:  # the detector broke the program
        result.crash = repr(error)
        return result
    if case.healthy:
        _alarms(result, findings)
        return result
    _judge(result, findings)
    if case.twin is not None:
        try:
            _alarms(result, watched(case, case.twin, detector), "twin: ")
        except Exception as error:
            result.crash = repr(error)
    return result


def watched(case: Case, function: Callable[[], object], detector: Detector) -> list[Any]:
    with rows(case, ROWS[1]):
        with detector() as findings:
            function()
        return list(findings)


def _judge(result: Result, findings: list[Any]) -> None:
    case = result.case
    ours = [one for one in findings if one.kind in case.kinds]
    result.found = bool(ours)
    at_line = [one for one in ours if is_at(one.location, case.lines)]
    result.line = bool(at_line)
    right = [one for one in at_line or ours if case.fixed_by(one.suggestion)]
    result.fix = bool(right)
    result.place = any(
        is_at(one.location, case.change) or any(line in one.suggestion for line in case.change)
        for one in right
    )
    for one in ours:
        result.wrong |= case.wrong_relations(one.suggestion)


def _alarms(result: Result, findings: list[Any], whose: str = "") -> None:
    for one in findings:
        if one.kind in SILENT - result.case.accepted:
            text = f"{whose}{one.kind} at {one.location}: {one.suggestion}"
            (result.false if one.kind in LOOPS else result.noise).append(text)


def is_at(location: str, lines: list[str]) -> bool:
    """Tell whether a location is one of the lines; its path may be longer."""
    location = location.replace("\\", "/")
    return any(location == line or location.endswith(f"/{line}") for line in lines)


@dataclass(frozen=True)
class Score:
    """The figures of one detector over one set of cases."""

    positives: int
    true: int
    missed: list[str]
    false: list[str]
    noise: int
    lines: int
    fixes: int
    places: int
    wrong: list[str]
    crashes: list[str]

    @property
    def precision(self) -> float:
        return self.true / (self.true + len(self.false)) if self.true else 0.0

    @property
    def recall(self) -> float:
        return self.true / self.positives if self.positives else 0.0


def score(results: list[Result], kinds: set[str] | None = None) -> Score:
    """Sum up; `kinds` narrows the positives, by default to the N+1 kinds."""
    wanted = LOOPS if kinds is None else kinds
    positives = [one for one in results if wanted & set(one.case.kinds)]
    found = [one for one in positives if one.found]
    return Score(
        positives=len(positives),
        true=len(found),
        missed=[one.case.name for one in positives if not one.found],
        false=[one.case.name for one in results if one.false],
        noise=sum(bool(one.noise) for one in results),
        lines=sum(one.line for one in found),
        fixes=sum(one.fix for one in found),
        places=sum(one.place for one in found),
        wrong=[f"{one.case.name}: {sorted(one.wrong)}" for one in positives if one.wrong],
        crashes=[f"{one.case.name}: {one.crash}" for one in results if one.crash],
    )


COLUMNS = (
    "positives",
    "found",
    "missed",
    "false",
    "precision",
    "recall",
    "line",
    "fix",
    "place",
    "wrong",
    "noise",
    "crashed",
)


def table(results: dict[str, list[Result]], kinds: set[str] | None = None) -> str:
    """Return the figures of several detectors, a row each."""
    lines = ["".join([f"{'detector':16}", *(f"{name:>10}" for name in COLUMNS)])]
    for name, of_one in results.items():
        s = score(of_one, kinds)
        cells = [s.positives, s.true, len(s.missed), len(s.false), f"{s.precision:.3f}"]
        cells += [f"{s.recall:.3f}", s.lines, s.fixes, s.places, len(s.wrong), s.noise]
        cells.append(len(s.crashes))
        lines.append("".join([f"{name:16}", *(f"{cell:>10}" for cell in cells)]))
    return "\n".join(lines)

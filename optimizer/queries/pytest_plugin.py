"""Watch the queries of tests: `pytest -p optimizer.queries.pytest_plugin`, in any Django project.

A test fails where it asks for each row: with the fixture or the marker `no_n_plus_one`, or all of
them with --fail-on-n-plus-one. What its fixtures ask for in their set-up is not the test's.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from optimizer.queries.engine.formats import Results, Told, as_report
from optimizer.queries.services import current

THRESHOLD = 2
SLOW_SECONDS = 0.5
FAILING = frozenset({"n_plus_one", "write_n_plus_one"})
_ATTRIBUTE = "n_plus_one_findings"  # of the reports that xdist's workers send
_FOUND = pytest.StashKey[list[Told]]()


@dataclass(frozen=True, slots=True)
class Rule:
    """From how many queries on a repetition counts, which places do not, and whether it fails."""

    threshold: int
    ignore: tuple[str, ...]
    fails: bool

    def ignores(self, one: Told) -> bool:
        """Say whether a place is passed over: by its path, or by path:line."""
        return any(fnmatch(one.path, glob) or fnmatch(one.location, glob) for glob in self.ignore)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and the list of places to pass over."""
    group = parser.getgroup("n_plus_one", "queries that repeat for each row")
    group.addoption(
        "--fail-on-n-plus-one", action="store_true", help="fail every test that has such queries"
    )
    group.addoption(
        "--n-plus-one-threshold",
        type=int,
        default=THRESHOLD,
        metavar="N",
        help=f"from how many queries on a repetition counts (default {THRESHOLD})",
    )
    group.addoption(
        "--n-plus-one-json", metavar="FILE", help="write what all tests were found to do, as JSON"
    )
    parser.addini("n_plus_one_ignore", "globs of paths whose repetitions are meant", "linelist")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and gather the findings where they are wanted."""
    config.addinivalue_line(
        "markers",
        "no_n_plus_one(threshold=2, ignore=()): fail where queries repeat for each row, but in "
        "files that fit a glob of `ignore`",
    )
    if config.option.n_plus_one_threshold < 2:
        raise pytest.UsageError("--n-plus-one-threshold must be 2 or more")
    path = config.option.n_plus_one_json
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(Path(path)))


@pytest.fixture
def no_n_plus_one() -> None:
    """Fail the test at its end where its queries repeat for each row."""
    if not _is_django_ready():
        pytest.fail("no_n_plus_one needs Django set up, with django.contrib.contenttypes.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Watch the test itself."""
    rule = _rule_of(item)
    if rule is None or not _is_django_ready():
        return (yield)
    from optimizer.queries.services import capture
    from optimizer.queries.services.units import Unit

    capture.install()
    unit = Unit(item.nodeid)
    restore = _prepare(item, unit)
    token = capture.begin(unit)
    found: list[Told] = []
    try:
        result = yield
    finally:
        capture.end(unit, token)
        restore()
        with suppress(Exception):  # or it would hide the test's own error
            found = [one for one in _found(unit, rule) if not rule.ignores(one)]
            _tell(item, found, rule)
    bad = [one for one in found if one.kind in FAILING]
    # A unittest's error is noted there, and not raised.
    if bad and rule.fails and not getattr(item, "_excinfo", None):
        title = f"Queries repeat for each row (from {rule.threshold} times on):"
        pytest.fail(as_report(bad, title), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, Any, Any]:
    """Leave out what a fixture asks for, should the test request it while it runs."""
    with current.unwatched():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the report carry the findings, also from one process to another."""
    report = yield
    if call.when == "call" and item.config.option.n_plus_one_json and _FOUND in item.stash:
        setattr(report, _ATTRIBUTE, msgspec.to_builtins(item.stash[_FOUND]))
    return report


class _Recorder:
    """Gathers what the reports carry, and writes it at the end."""

    def __init__(self, path: Path) -> None:
        self._path, self._results = path.absolute(), Results()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = getattr(report, _ATTRIBUTE, None)
        if found is not None:
            self._results.tests += 1
            self._results.findings += msgspec.convert(found, list[Told])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._path.write_bytes(msgspec.json.encode(self._results))


def _is_django_ready() -> bool:
    from django.apps import apps

    return apps.ready and apps.is_installed("django.contrib.contenttypes")


def _rule_of(item: pytest.Item) -> Rule | None:
    """Return what a test is watched for, None where it is not."""
    options, marker = item.config.option, item.get_closest_marker("no_n_plus_one")
    wanted = marker is not None or "no_n_plus_one" in getattr(item, "fixturenames", ())
    if not (wanted or options.fail_on_n_plus_one or options.n_plus_one_json):
        return None
    given = dict(marker.kwargs) if marker is not None else {}
    threshold = given.pop("threshold", options.n_plus_one_threshold)
    ignore = given.pop("ignore", ())
    if given or (marker is not None and marker.args):
        pytest.fail("The marker no_n_plus_one takes threshold=… and ignore=[…].", pytrace=False)
    globs = [ignore] if isinstance(ignore, str) else ignore
    return Rule(
        max(2, int(threshold)),
        (*item.config.getini("n_plus_one_ignore"), *globs),
        wanted or options.fail_on_n_plus_one,
    )


def _found(unit: Any, rule: Rule) -> list[Told]:
    from optimizer.queries.services.findings import findings_of
    from optimizer.queries.services.showing import told_of

    found = findings_of(unit, threshold=rule.threshold, slow_seconds=SLOW_SECONDS)
    return [told_of(finding, unit.name) for _, finding in found]


def _tell(item: pytest.Item, found: list[Told], rule: Rule) -> None:
    item.stash[_FOUND] = found
    # What fails the test is in its error already.
    others = [one for one in found if not (rule.fails and one.kind in FAILING)]
    if others:
        item.add_report_section("call", "queries", as_report(others, "Also found:"))


def _prepare(item: pytest.Item, unit: Any) -> Callable[[], None]:
    """Fit a unittest or a coroutine to be watched; return what undoes it."""
    case, function = getattr(item, "instance", None), getattr(item, "obj", None)
    if hasattr(case, "assertEqual"):
        # What it asks for before and after its test is left out.
        for name in ("_pre_setup", "setUp", "tearDown", "_post_teardown"):
            method = getattr(case, name, None)
            if method is not None:
                setattr(case, name, _unwatched(method))
    elif iscoroutinefunction(function):
        item.obj = _watched(function, unit)  # type: ignore[attr-defined]
        return lambda: setattr(item, "obj", function)
    return lambda: None


def _watched(function: Callable[..., Any], unit: Any) -> Callable[..., Any]:
    """Return a coroutine function that is watched in whatever task it runs."""

    @wraps(function)
    async def watched(*given: Any, **named: Any) -> Any:
        before = current.unit.get()
        current.unit.set(unit)
        try:
            return await function(*given, **named)
        finally:
            current.unit.set(before)

    return watched


def _unwatched(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def quiet(*given: Any, **named: Any) -> Any:
        with current.unwatched():
            return method(*given, **named)

    return quiet

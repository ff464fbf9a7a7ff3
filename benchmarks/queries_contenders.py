"""The peers of the N+1 detector, each as its own documentation enables it around a piece of work.

`watch` gives the findings that a peer makes, when its block has ended; where it tells no kind, a
repeated write is one by its SQL. Nothing is reported or rendered: only finding is compared.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Watch = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Found:
    """A peer's finding in the form that the harness judges."""

    kind: str
    location: str
    suggestion: str = ""
    count: int = 0
    sql: str = ""


@dataclass(frozen=True)
class Contender:
    """How a peer is set up, and how it watches."""

    name: str
    watch: Watch
    apps: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    judged: bool = True  # it finds something
    is_ours: bool = False
    debugs: bool = False  # it shows templates' lines where templates are debugged


@cache
def _install() -> None:
    from optimizer.queries.services import capture

    capture.install()


def leave() -> None:
    """Take the optimizer's wrapper off: a peer would take its line for the program's."""
    from django.db import connections
    from django.db.backends.signals import connection_created

    from optimizer.queries.services import capture

    connection_created.disconnect(dispatch_uid="queries.capture")
    for connection in connections.all():
        while capture.wrapper in connection.execute_wrappers:
            connection.execute_wrappers.remove(capture.wrapper)
        assert not connection.execute_wrappers, connection.execute_wrappers


@contextmanager
def ours_capturing() -> Iterator[Any]:
    """Watch as the optimizer's middleware does; the one place that knows how."""
    from optimizer.queries.services import capture
    from optimizer.queries.services.units import Unit

    _install()
    with capture.watching(Unit()) as unit:
        yield unit


@contextmanager
def ours() -> Iterator[list[Any]]:
    """Capture, and find when the work is done."""
    from optimizer.queries.services.findings import findings_of

    found: list[Any] = []
    with ours_capturing() as unit:
        yield found
    found += [one for _, one in findings_of(unit)]


@contextmanager
def bare_wrapper() -> Iterator[list[Any]]:
    """Keep each statement: the least that any tool can do."""
    from django.db import connection

    seen = []

    def keep(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        yield []


_ZEAL = re.compile(r"N\+1 detected on \S+ at (?P<location>.+:\d+) in ")

_LOGIN = re.compile(r"N\+1 detected on (?:sessions|auth)\.")


@contextmanager
def zeal() -> Iterator[list[Any]]:
    from zeal import zeal_context

    found: list[Any] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with zeal_context():
            yield found
    # It is made for one request: what a case's login and several requests ask for is not counted.
    texts = [text for text in {str(one.message): 1 for one in told} if not _LOGIN.match(text)]
    found += [
        Found("n_plus_one", match["location"], text)
        for text in texts
        if (match := _ZEAL.match(text))
    ]


@contextmanager
def query_doctor() -> Iterator[list[Any]]:
    from query_doctor.context_managers import diagnose_queries

    found: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with diagnose_queries() as report:
            yield found
    kinds = {"n_plus_one": "n_plus_one", "write_n_plus_one": "write_n_plus_one"}
    kinds["duplicate_query"] = "duplicate"
    for one in report.prescriptions:
        if kind := kinds.get(one.issue_type.value):
            at = f"{one.callsite.filepath}:{one.callsite.line_number}" if one.callsite else ""
            found.append(Found(kind, at, one.fix_suggestion, one.query_count))


@contextmanager
def debug_toolbar() -> Iterator[list[Any]]:
    """Group by the panel's "similar": the same text, whatever the parameters."""
    from debug_toolbar.toolbar import DebugToolbar
    from django.http import HttpResponse
    from django.test import RequestFactory

    request = RequestFactory().get("/")
    toolbar = DebugToolbar(request, lambda _: HttpResponse())
    toolbar.init_store()
    panel = toolbar.get_panel_by_id("SQLPanel")
    found: list[Any] = []
    panel.enable_instrumentation()
    try:
        yield found
    finally:
        panel.disable_instrumentation()
    panel.generate_stats(request, HttpResponse())
    groups = defaultdict(list)
    for query in panel.get_stats().get("queries", []):
        if query.get("similar_count", 0) > 1:
            groups[query["alias"], query["raw_sql"]].append(query)
    found += [_similar(sql, group) for (_, sql), group in groups.items()]


def _similar(sql: str, group: list[Any]) -> Found:
    reads = sql.lstrip("( ").upper().startswith(("SELECT", "WITH"))
    same = len({repr(query["params"]) for query in group}) == 1
    kind = "duplicate" if same else "n_plus_one" if reads else "write_n_plus_one"
    return Found(kind, _place_of(group[-1]), "", len(group), sql)


def _place_of(query: dict[str, Any]) -> str:
    """Return the line that the panel shows: the template's where that is the nearer one."""
    at = ""
    for file, line, *_ in query["stacktrace"]:  # the innermost last
        if "/django/template/" in file and query["template_info"]:
            shown = [one["num"] for one in query["template_info"]["context"] if one["highlight"]]
            at = f"{query['template_info']['name']}:{shown[0]}" if shown else at
        elif "/tests/" in file:
            at = f"{file}:{line}"
    return at


CONTENDERS = {
    one.name: one
    for one in (
        Contender("bare wrapper", bare_wrapper, judged=False),
        Contender("tuneup", ours, is_ours=True),
        Contender("tuneup, capture alone", ours_capturing, judged=False, is_ours=True),
        Contender("zeal", zeal, ("zeal",), {"ZEAL_RAISE": False}),
        Contender("query-doctor", query_doctor, ("query_doctor",)),
        Contender(
            "debug-toolbar, similar",
            debug_toolbar,
            ("debug_toolbar",),
            {"DEBUG_TOOLBAR_PANELS": ["debug_toolbar.panels.sql.SQLPanel"]},
            debugs=True,
        ),
    )
}

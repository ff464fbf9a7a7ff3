"""What a process outside Django tells of its queries: analysed and counted as our own are."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optimizer.control import ticker
from optimizer.queries import metrics
from optimizer.queries.engine.fingerprint import shape_of
from optimizer.queries.engine.hyperloglog import hash_of
from optimizer.queries.engine.settings import Settings
from optimizer.queries.services import collector
from optimizer.queries.services.analyses import Analysis
from optimizer.queries.services.findings import Finding
from optimizer.queries.services.relations import Access
from optimizer.queries.services.units import Unit

MAX_QUERIES = 1000
MAX_CALLS = 20_000  # all of a report's queries together
# No connection of ours has this alias: nothing that others send as SQL is ever run here.
ALIAS = "reported"
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_PLACEHOLDER = re.compile(r"%s|%\(\w+\)s|\$\d|(?<!:):[A-Za-z_]|\?")


@dataclass(frozen=True, slots=True)
class Query:
    """A query, or `count` of the same parameters; `seconds` is what one took.

    `parameters` is any value by which its parameters are told from others; None is unknown.
    """

    sql: str
    seconds: float
    rows: int = 0
    location: str = ""
    count: int = 1
    parameters: Any = None


@dataclass(eq=False)
class _Told(Analysis):
    """A query at a place that was told: there is no stack to read."""

    place: str = ""

    @property
    def location(self) -> str:
        """The line that asks."""
        return self.place

    @property
    def queryset_location(self) -> str:
        """The line to change, as far as that is known."""
        return self.place


def unit_of(name: str, told: Iterable[Query]) -> Unit:
    """Return the unit that some queries make up."""
    unit = Unit(name, "report")
    unknown = secrets.randbits(62)
    analyses: dict[tuple[str, str], Analysis] = {}
    for query in told:
        shape = shape_of(query.sql)
        if shape.verb.value == "CONTROL":
            continue
        place = (shape.fingerprint, query.location)
        analysis = analyses.get(place)
        if analysis is None:
            analysis = _Told(shape, (), None, Access("raw"), place=query.location)
            analyses[place] = analysis
        if query.parameters is not None:
            values = [hash_of(query.parameters)] * query.count
        elif _has_placeholders(query.sql):  # they are there, and may all be others
            values = list(range(unknown, unknown + query.count))
            unknown += query.count
        else:
            values = [0] * query.count
        group = unit.told(analysis, ALIAS, query.sql)
        if group is not None:
            for value in values:
                unit.add(group, query.sql, value, query.seconds, query.rows)
    unit.fold()
    return unit


def take(name: str, told: Iterable[Query], settings: Settings) -> list[Finding]:
    """Count what a process tells of one of its units; return the findings, the costliest first.

    It goes to the database with all else that this process gathers.
    """
    unit = unit_of(name, told)
    ticker.ensure()
    metrics.UNITS.labels(unit.kind, "yes").inc()
    metrics.QUERIES.inc(unit.queries)
    metrics.SECONDS.inc(unit.seconds)
    collector.collector.count(watched=1)
    return collector.collector.add(unit, 1, settings) if unit.groups else []


def _has_placeholders(sql: str) -> bool:
    return _PLACEHOLDER.search(_QUOTED.sub("", sql)) is not None

"""A watched unit (a request, a task, a command, a block): its queries, grouped as they come.

`note` is the hot path: what reading the stack tells of a place is kept in its `Analysis`, and what
a group means is worked out when the unit has ended.
"""

import sys
from collections import deque
from dataclasses import dataclass
from types import FrameType
from typing import Any

from django.db.models import Model

from optimizer.queries.engine.fingerprint import Shape, Verb, shape_of
from optimizer.queries.engine.hyperloglog import hash_of
from optimizer.queries.services.analyses import (
    Analysis,
    analyse,
    analyses,
    concrete,
    queryset_of,
)
from optimizer.queries.services.current import request as _request
from optimizer.queries.services.current import unwatched
from optimizer.queries.services.frames import Key, Stack, TemplateLine, django_frames, key_of
from optimizer.queries.services.loads import Loaded, watch_loads, watch_prefetch
from optimizer.queries.services.relations import Access

MAX_GROUPS = 2000
MAX_PARAMETERS = 10_000
MAX_TEXTS = 10_000
FOLD_AT = 256
NO_STACK: Stack = ()


@dataclass(frozen=True, slots=True)
class Awaiting:
    """Who awaits: a coroutine's place, which the thread that works for it does not show."""

    key: Key
    stack: Stack


class Group:
    """The queries of a unit that look alike and come from the same place."""

    __slots__ = (
        "after_own_write",
        "alias",
        "analysis",
        "asked",
        "climbs",
        "count",
        "durations",
        "last_instance",
        "max_seconds",
        "parameters",
        "provider",
        "repeats",
        "rows",
        "seconds",
        "sql",
        "values",
    )

    def __init__(self, analysis: Analysis, alias: str, sql: str) -> None:
        self.analysis, self.alias, self.sql = analysis, alias, sql
        self.count, self.repeats, self.climbs, self.rows = 0, 0, 0, 0
        self.seconds = self.max_seconds = 0.0
        self.after_own_write = False  # of its tables, in the same unit
        self.durations: list[float] = []
        self.values: list[int] = []  # hashes of the parameters, one for each duration
        self.parameters: set[int] = set()
        self.asked: set[tuple[int, int]] | None = None  # with how much was written before
        self.provider: Provider | None = None  # known when the unit has ended
        self.last_instance: Any = None

    @property
    def shape(self) -> Shape:
        """What its queries look like."""
        return self.analysis.shape

    @property
    def access(self) -> Access:
        """What asked for them."""
        return self.analysis.access

    @property
    def stack(self) -> Stack:
        """The user's sites, from the innermost outward."""
        return self.analysis.stack

    @property
    def template(self) -> TemplateLine | None:
        """The template's line that asks, where one does."""
        return self.analysis.template

    @property
    def location(self) -> str:
        """The line of the user's code, or of the template, that asks."""
        return self.analysis.location

    @property
    def queryset_location(self) -> str:
        """The line to change: where the queryset is made, as far as that is known."""
        return self.analysis.queryset_location


@dataclass(frozen=True, slots=True)
class Provider:
    """Where the instances of a model came from: a group, and the path within its queryset."""

    group: Group
    path: str = ""


class Unit:
    """One thing that is watched. Several threads may feed it.

    Queries that take less than `least_seconds` are not noted: a unit that is not sampled still
    hears of the slow ones.
    """

    def __init__(self, name: str = "", kind: str = "block", *, least_seconds: float = 0.0) -> None:
        self.name, self.kind, self.least_seconds = name, kind, least_seconds
        self.groups: dict[Any, Group] = {}
        self.queries, self.seconds, self.own_seconds, self.dropped = 0, 0.0, 0.0, 0
        self.closed = False
        self.loaded: list[Loaded] = []
        self.writes: dict[str, int] = {}  # by table
        self.cursors: dict[Any, Group] = {}  # that have further batches to come
        self._by_text: dict[Any, Group | None] = {}
        self._noted: deque[tuple[Group, str, Any, float, int]] = deque()

    def note(
        self,
        sql: str,
        params: Any,
        alias: str,
        took_seconds: float,
        awaiting: Awaiting | None = None,
        rows: int = 0,
        shape: Shape | None = None,
    ) -> None:
        """Note a query, from the function that ran it.

        `awaiting` is who waits for it where the stack shows nobody; `rows` how many it gave or
        changed, where that is known; `shape` what `sql` looks like where it is no SQL.

        Here is only what cannot wait: the caller. What was noted is counted together, in `fold`,
        where the processor has the code at hand.
        """
        caller = key_of(sql, awaiting.key if awaiting is not None else None, skip=2)
        key = (sql, caller, _request.get())
        try:
            group = self._by_text[key]
        except KeyError:
            group = self._open(key, shape or shape_of(sql), alias, awaiting)
        if group is None:
            return
        if group.analysis.climbs:
            climb(group, sys._getframe(2))
        noted = self._noted
        noted.append((group, sql, params, took_seconds, rows))
        if len(noted) >= FOLD_AT:
            self.fold()

    def add(self, group: Group, text: str, params: Any, took_seconds: float, rows: int) -> None:
        """Note a query whose group is known."""
        self._noted.append((group, text, params, took_seconds, rows))
        if len(self._noted) >= FOLD_AT:
            self.fold()

    def _open(
        self, key: tuple[str, Key, int], shape: Shape, alias: str, awaiting: Awaiting | None
    ) -> Group | None:
        """Begin a group, or find the one whose text differs only in its values."""
        if len(self._by_text) >= MAX_TEXTS:
            self._by_text.clear()
        sql, caller, request = key
        if shape.verb is Verb.CONTROL:
            self._by_text[key] = None
            return None
        place = (shape.fingerprint, caller)
        number = request if self.kind == "block" else 0
        group = self.groups.get((place, number))
        if group is None:
            if len(self.groups) >= MAX_GROUPS:
                self.dropped += 1
                return None
            analysis = analyses.get(place)
            frame = sys._getframe(3)
            if analysis is None:
                stack = awaiting.stack if awaiting is not None else NO_STACK
                with unwatched():  # what reading the frames may ask is not the program's
                    analysis = analyse(place, shape, frame, stack)
            group = self.groups[place, number] = Group(analysis, alias, sql)
            self.watch_loads(group, frame)
        self._by_text[key] = group
        return group

    def told(self, analysis: Analysis, alias: str, sql: str) -> Group | None:
        """Return the group of a query that another process tells of; None where there is no room.

        `add` notes its queries.
        """
        place = (analysis.shape.fingerprint, analysis.location)
        group = self.groups.get(place)
        if group is None:
            if len(self.groups) >= MAX_GROUPS:
                self.dropped += 1
                return None
            group = self.groups[place] = Group(analysis, alias, sql)
        return group

    def part(self) -> "Unit":
        """Return what was noted so far as a unit of its own, and go on with an empty one."""
        self.fold()
        part = Unit(self.name, self.kind, least_seconds=self.least_seconds)
        part.groups, self.groups, self._by_text = self.groups, {}, {}
        part.loaded, self.loaded = self.loaded, []
        part.queries, part.seconds, part.own_seconds = self.queries, self.seconds, self.own_seconds
        self.queries, self.seconds, self.own_seconds = 0, 0.0, 0.0
        return part

    def fold(self) -> None:
        """Count what was noted."""
        noted, writes = self._noted, self.writes
        while noted:
            try:
                group, sql, params, took_seconds, rows = noted.popleft()
            except IndexError:  # another thread was faster
                return
            self.queries += 1
            self.seconds += took_seconds
            group.count += 1
            group.seconds += took_seconds
            group.rows += rows
            if took_seconds > group.max_seconds:
                group.max_seconds = took_seconds
            if group.count > MAX_PARAMETERS:
                continue
            group.durations.append(took_seconds)
            shape, parameters = group.analysis.shape, group.parameters
            values = hash_of(params)
            if shape.values:
                values ^= shape_of(sql).values
            if writes and (written := sum([writes.get(one, 0) for one in shape.tables])):
                group.after_own_write = True
                asked = group.asked
                if asked is None:
                    asked = group.asked = set()
                group.repeats += (values, written) in asked
                asked.add((values, written))
            elif values in parameters:
                group.repeats += 1
            parameters.add(values)
            group.values.append(values)
            if shape.is_write:
                for table in shape.tables:
                    writes[table] = writes.get(table, 0) + 1

    def watch_loads(self, group: Group, frame: FrameType) -> None:
        """Watch what the first query of a group loads along, if it does and it is its turn."""
        analysis = group.analysis
        if not analysis.loads or not (self.kind == "block" or analysis.is_looked_at()):
            return
        with unwatched():
            frames = list(django_frames(frame))
            if analysis.loads == "prefetch":
                self.loaded += watch_prefetch(group, frames)
            queryset = queryset_of(frames, group.access.target)
            if queryset is not None:
                self.loaded += watch_loads(group, frames, queryset)


def link(unit: Unit) -> None:
    """Find for each group where the instances that it asks for came from."""
    providers: dict[type[Model], Provider] = {}
    for group in list(unit.groups.values()):
        model = group.access.model
        group.provider = providers.get(concrete(model)) if model is not None else None
        for provided, path in group.analysis.provides:
            providers[provided] = Provider(group, path)


def climb(group: Group, frame: FrameType) -> None:
    """See whether the row that is asked for its parent is the one that was just read as such."""
    for one in django_frames(frame):
        instance = one.f_locals.get("instance")
        if isinstance(instance, Model):
            before = group.last_instance
            if before is not None and instance is before._state.fields_cache.get(group.access.name):
                group.climbs += 1
            group.last_instance = instance
            return

"""The MongoDB commands of a unit, grouped like its SQL, and what their documents tell.

Two commands' filters show which field varies; the documents that were read before, whence its
values come. Both are looked for once in a group's life.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

from optimizer.queries.services.analyses import Analysis
from optimizer.queries.services.units import MAX_GROUPS, Group, Unit, climb

ALIAS = "mongodb"  # of what is asked past Django: none of its databases
MAX_SAMPLES = 8  # documents of a reading group that are kept to compare with
MAX_COMPARED = 100  # commands that are compared until a filter's varying field is known
MAX_CURSORS = 1000

Document = Mapping[str, Any]


@dataclass(slots=True)
class Command:
    """An answered command; `frame` is the driver's that tells of it."""

    unit: Unit
    key: Any  # of its group
    analysis: Analysis
    name: str
    values: int  # their hash
    filter: Document
    counted: set[Any]  # groups that its operation was counted in
    frame: FrameType


class CommandGroup(Group):
    """The commands of a unit that look alike and come from the same line."""

    __slots__ = ("command", "filter", "last_document", "samples", "seen", "source", "varying")

    def __init__(self, command: Command) -> None:
        super().__init__(command.analysis, ALIAS, command.analysis.shape.text)
        self.command = command.name
        self.filter: Document = dict(command.filter)  # the program may change its own
        self.seen = 0
        self.varying: tuple[str, ...] = ()
        self.source: Source | None = None
        self.samples: list[Document] = []
        self.last_document: Document | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The documents whose field gives the values that a loop asks for, one by one."""

    group: CommandGroup
    field: str


def count(command: Command, took_seconds: float, reply: Document) -> None:
    """Count an answered command; of an operation that sends several alike only the first."""
    unit = command.unit
    group = unit.groups.get(command.key)
    if group is None:
        if len(unit.groups) >= MAX_GROUPS:
            unit.dropped += 1
            return
        group = unit.groups[command.key] = CommandGroup(command)
        unit.watch_loads(group, command.frame)
    if not isinstance(group, CommandGroup):
        return
    documents = _first_batch(unit, group, reply)
    if command.key in command.counted:
        _add_to(unit, group, took_seconds, len(documents))
        return
    command.counted.add(command.key)
    if group.analysis.climbs:
        climb(group, command.frame)
    group.seen += 1
    _look(command, group, documents)
    unit.add(group, group.sql, command.values, took_seconds, len(documents))


def _add_to(unit: Unit, group: Group, took_seconds: float, rows: int) -> None:
    unit.seconds += took_seconds
    group.seconds += took_seconds
    group.rows += rows


def count_more(unit: Unit, cursor_id: Any, took_seconds: float, reply: Document) -> None:
    """Add a further batch to the query that it belongs to."""
    cursors = unit.cursors
    group, cursor = cursors.get(cursor_id), reply.get("cursor") or {}
    if group is not None:
        _add_to(unit, group, took_seconds, len(cursor.get("nextBatch") or ()))
        if not cursor.get("id"):
            cursors.pop(cursor_id, None)


def _first_batch(unit: Unit, group: CommandGroup, reply: Document) -> list[Document]:
    """Return the documents of a reply, and remember where those that follow belong."""
    cursor = reply.get("cursor")
    if cursor is None:
        found = reply.get("value")  # of findAndModify
        return [found] if isinstance(found, Mapping) else []
    if cursor.get("id"):
        cursors = unit.cursors
        if len(cursors) < MAX_CURSORS:
            cursors[cursor["id"]] = group
    documents: list[Document] = cursor.get("firstBatch") or []
    return documents


def _look(command: Command, group: CommandGroup, documents: list[Document]) -> None:
    """Compare a command with the first of its group, and with what was read before."""
    if not group.varying and 1 < group.seen <= MAX_COMPARED:
        group.varying = varying(group.filter, command.filter)
        if group.varying:
            name = group.varying[0]
            values = (group.filter.get(name), command.filter.get(name))
            group.source = _source(command.unit, group, values)
    if group.last_document is not None and _follows(group, command.filter, group.last_document):
        group.climbs += 1
    group.last_document = documents[0] if len(documents) == 1 else None
    if not group.samples:
        group.samples = documents[:MAX_SAMPLES]


def varying(one: Document, other: Document) -> tuple[str, ...]:
    """Return the names under which two filters of one shape have different values."""
    return tuple(name for name in one if not equal(one[name], other.get(name)))


def equal(one: Any, other: Any) -> bool:
    """Say whether two values are equal; those that cannot be compared are not."""
    try:
        return bool(one == other)
    except Exception:
        return False


def _follows(group: CommandGroup, filter_: Document, document: Document) -> bool:
    """Say whether a command asks for what the document before it names: up a tree, along a list."""
    for name in group.varying:
        value = filter_.get(name)
        if _tells(value) and any(
            other != name and equal(value, held) for other, held in document.items()
        ):
            return True
    return False


def _tells(value: Any) -> bool:
    """Say whether a value is one that is not found in many places by chance."""
    return value is not None and not isinstance(value, bool | Mapping)


def _source(unit: Unit, group: CommandGroup, values: tuple[Any, Any]) -> Source | None:
    """Return the field of documents read earlier that has both values, None where none has."""
    if not all(map(_tells, values)):
        return None
    for other in reversed(list(unit.groups.values())):
        if other is group or not isinstance(other, CommandGroup):
            continue
        names: dict[str, None] = {}
        for document in other.samples:
            names |= dict.fromkeys(_names_of(document))
        for name in names:
            if all(any(_holds(one, name, value) for one in other.samples) for value in values):
                return Source(other, name)
    return None


def _names_of(document: Document) -> list[str]:
    found = []
    for name, value in document.items():
        found.append(name)
        if isinstance(value, dict):
            found += [f"{name}.{below}" for below in value]
    return found


def _holds(document: Document, name: str, value: Any) -> bool:
    first, _, rest = name.partition(".")
    held: Any = document.get(first)
    if rest:
        held = held.get(rest) if isinstance(held, dict) else None
    if isinstance(held, list):
        return any(equal(one, value) for one in held)
    return equal(held, value)

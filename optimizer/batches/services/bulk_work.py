"""The work of one bulk write, ready for a way to do it: prepared columns, sorted by key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field

from optimizer.batches.engine.bulk_sql import Column, Target
from optimizer.batches.services.bulk_fields import Layout, Verb
from optimizer.batches.services.bulk_rows import Columns
from optimizer.batches.services.bulk_values import LEFT_OUT, may_leave_out

Way = Literal["copy", "unnest", "executemany", "orm"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for."""

    skip_unchanged: bool = True
    ignore_conflicts: bool = False
    chunk_size: int = 5000


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that give the same columns."""

    verb: Verb
    target: Target
    fields: tuple[Field, ...]
    columns: Columns

    def chunks(self, size: int) -> Iterator[Columns]:
        """Yield the columns of at most `size` rows at a time."""
        for start in range(0, len(self.columns[0]), size):
            yield [column[start : start + size] for column in self.columns]

    def escaped(self) -> Target:
        """Return the target for a statement in which `%` marks a parameter."""
        table = self.target.table.replace("%", "%%")
        names = (replace(one, name=one.name.replace("%", "%%")) for one in self.target.columns)
        return replace(self.target, table=table, columns=tuple(names))


def groups(
    connection: BaseDatabaseWrapper, layout: Layout, columns: Columns, options: Options
) -> list[Group]:
    """Return the rows by which columns they leave to the database; mostly one group."""
    partial = [
        number
        for number, field in enumerate(layout.fields)
        if may_leave_out(field) and LEFT_OUT in columns[number]
    ]
    if not partial:
        return [_group(connection, layout, range(len(columns)), columns, options)]
    places: dict[tuple[bool, ...], list[int]] = {}
    for place, marks in enumerate(zip(*(columns[number] for number in partial), strict=True)):
        places.setdefault(tuple(mark is LEFT_OUT for mark in marks), []).append(place)
    made = []
    for absent, numbers in sorted(places.items()):
        left = {number for number, gone in zip(partial, absent, strict=True) if gone}
        present = [number for number in range(len(columns)) if number not in left]
        some = [[columns[number][place] for place in numbers] for number in present]
        made.append(_group(connection, layout, present, some, options))
    return made


def _group(
    connection: BaseDatabaseWrapper,
    layout: Layout,
    present: Sequence[int],
    columns: Columns,
    options: Options,
) -> Group:
    place = {number: order for order, number in enumerate(present)}
    fields = tuple(layout.fields[number] for number in present)
    quote = connection.ops.quote_name
    described = tuple(
        Column(quote(field.column or ""), field.db_type(connection) or "") for field in fields
    )
    verb, keys = layout.verb, layout.keys
    if any(number not in place for number in keys):  # the database makes the key: no conflict
        verb, keys = "insert", ()
    target = Target(
        quote(layout.model._meta.db_table),
        described,
        tuple(place[number] for number in keys),
        tuple(place[number] for number in layout.updates if number in place),
        tuple(place[number] for number in layout.touched if number in place),
        None if layout.sequence is None else place.get(layout.sequence),
        options.skip_unchanged,
    )
    return Group(verb, target, fields, columns)

"""What a planner says of a statement, and what a table has: the input of index advice.

Each database's own format is read by a module of its own into these.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_TEXT_LENGTH = 4000

_LITERAL = re.compile(r"'(?:[^']|'')*'")


class How(enum.Enum):
    """How a table is read."""

    SCAN = "scan"
    AUTOMATIC = "automatic index"  # made for this one query, of the whole table
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Read:
    """One reading of a table within a plan.

    `name` is the table's alias, or the table where it has none. `equalities` counts the leading
    columns of the index that are looked up, `bounds` the limits of the next, where the plan tells.
    """

    name: str
    how: How
    table: str = ""
    index: str = ""
    equalities: int = 0
    bounds: int = 0
    is_covering: bool = False
    rows: float | None = None  # that are kept, by the planner's estimate
    is_filtered: bool = False  # rows are read only to be thrown away


@dataclass(frozen=True, slots=True)
class Plan:
    """How a statement is carried out. `cost` is in the planner's own unit, None where it has none.

    `sorts`: rows are sorted for ORDER BY; `groups`: they are sorted or hashed for GROUP BY or
    DISTINCT.
    """

    reads: tuple[Read, ...]
    sorts: bool = False
    groups: bool = False
    cost: float | None = None
    text: str = ""

    def uses(self, index: str) -> bool:
        """Say whether an index is read."""
        return any(read.index == index for read in self.reads)


@dataclass(frozen=True, slots=True)
class Key:
    """One column of an index. `function` is UPPER or LOWER where that is what is indexed."""

    column: str
    is_descending: bool = False
    function: str = ""
    operators: str = ""  # the operator class, where it is not the type's own


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is there. `is_plain`: all rows, ordered as the type is, of columns alone."""

    name: str
    keys: tuple[Key, ...]
    is_unique: bool = False
    is_plain: bool = True
    is_constraint: bool = False  # it cannot be dropped by itself

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(key.column for key in self.keys)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that may get an index: `columns` by name with their type, in lower case."""

    name: str
    columns: Mapping[str, str]
    rows: int
    indexes: tuple[Index, ...] = ()
    schema: str = ""


def bounded(text: str) -> str:
    """Return a plan's text without texts that the statement had in it, and not too long."""
    text = _LITERAL.sub("?", text)
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + "…"

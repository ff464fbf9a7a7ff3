"""What a statement asks of one table."""

import enum
from dataclasses import dataclass, field

from optimizer.queries.engine.plans import Key


class Dialect(enum.Enum):
    """Whose SQL it is."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgres"


@dataclass(slots=True)
class Asked:
    """What a statement asks of one table, at one place.

    Columns are as the statement writes them (in lower case where PostgreSQL takes them so), and
    not yet known to be the table's.
    """

    table: str
    alias: str
    schema: str = ""
    equal: list[Key] = field(default_factory=list)
    lists: list[Key] = field(default_factory=list)  # IN, ANY, OR of one column
    joined: list[Key] = field(default_factory=list)
    ranges: list[Key] = field(default_factory=list)  # bounded on both sides
    bounds: list[Key] = field(default_factory=list)  # bounded on one side
    prefixes: list[Key] = field(default_factory=list)  # LIKE 'x%'
    order: list[Key] = field(default_factory=list)  # the whole ORDER BY, or nothing
    group: list[Key] = field(default_factory=list)  # the whole GROUP BY or DISTINCT, or nothing
    limit: int | None = None  # rows; 0 where there is a limit that the text does not tell
    has_others: bool = False  # conditions that no index of it serves
    is_alone: bool = True  # the only table of its FROM
    is_unfiltered: bool = False  # neither it nor what it is joined with is narrowed by a condition

    @property
    def is_narrowed(self) -> bool:
        """Say whether a condition, other than a join's, leaves some of its rows out."""
        lists = (self.equal, self.lists, self.ranges, self.bounds, self.prefixes)
        return self.has_others or any(lists)

"""What index advice needs of a database, whichever it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.backends.utils import names_digest

from optimizer.queries.engine.asked import Asked
from optimizer.queries.engine.candidates import Candidate
from optimizer.queries.engine.plans import Key, Plan, Table
from optimizer.queries.engine.trials import Trial

STATEMENT_TIMEOUT_SECONDS = 5.0
LOCK_TIMEOUT_SECONDS = 1.0
MAX_NAME_LENGTH = 30  # as Django has it

Tables = Mapping[tuple[str, str], Table]


class NotPlanned(Exception):
    """The database does not say how it would carry a statement out."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The trials of the candidates, and how they were made.

    Where none could be made: why not, and which candidates are sure without.
    """

    trials: tuple[Trial, ...] = ()
    how: str = ""
    why_not: str = ""
    sure: tuple[Candidate, ...] = ()


class Planner(Protocol):
    """A database that is asked how it would carry out one statement. It never carries it out.

    What costs less than `least_before`, in the unit of the trials, needs no index.
    """

    least_before: float

    def plan(self) -> Plan:
        """Return the plan of the statement. Raises NotPlanned."""
        ...

    def tables(self, asked: tuple[Asked, ...]) -> Tables:
        """Return what is known of the tables, by schema and name as the statement has them."""
        ...

    def try_out(self, candidates: list[Candidate], plan: Plan, asked: tuple[Asked, ...]) -> Tried:
        """Plan again with each candidate, and leave nothing of it behind."""
        ...


def index_name(table: str, keys: tuple[Key, ...]) -> str:
    """Return a name for an index, made as Django makes its own: 30 characters at the most."""
    parts = [table, *(f"{'-' * key.is_descending}{key.column}{key.function}" for key in keys)]
    readable = f"{_plain(table)[:11]}_{_plain(keys[0].column)[:7]}"
    name = f"{readable}_{names_digest(*parts, length=6)}_idx"
    return name if name[0].isalpha() else f"D{name[1:]}"


def create_index(candidate: Candidate, name: str, *, concurrently: bool = False) -> str:
    """Return the statement that makes an index."""
    how = "CONCURRENTLY " if concurrently else ""
    table = candidate.table
    place = f"{quoted(table.schema)}." if table.schema else ""
    keys = ", ".join(map(_key, candidate.keys))
    return f"CREATE INDEX {how}{quoted(name)} ON {place}{quoted(table.name)} ({keys})"


def quoted(name: str) -> str:
    """Return a name as both databases take it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def first_value(row: Any) -> Any:
    """Return the first column of a row, None where there is no row."""
    return None if row is None else row[0]


def _key(key: Key) -> str:
    column = quoted(key.column)
    text = f"{key.function}({column})" if key.function else column
    return text + (f" {key.operators}" if key.operators else "") + " DESC" * key.is_descending


def _plain(name: str) -> str:
    return "".join(one if one.isascii() and one.isalnum() else "_" for one in name).lower()

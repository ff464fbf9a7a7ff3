"""Which of the indexes that were tried is worth having."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimizer.queries.engine.candidates import Candidate
from optimizer.queries.engine.plans import How, Plan, Read, Table

LEAST_FALL = 0.5  # of the cost
LEAST_FALL_WRITTEN = 0.9  # where the table is written more than read
LEAST_WORK = 1000.0  # rows of work; a statement that takes less needs no index
LEAST_COST = 50.0  # the same, in the planner's unit: a page that is read in order costs 1
MANY_WRITES = 0.5  # of all statements on a table
NEAR = 0.95  # of the most gain

_LOOKUP = 3.0  # what a row costs that is looked up, as against one that comes in a scan
_UNKNOWN_LIMIT = 100
_UNKNOWN_EQUAL = 10.0  # rows; what SQLite itself assumes
_BOUND = 0.25  # of the rows lie beyond a bound, as SQLite assumes


@dataclass(frozen=True, slots=True)
class Trial:
    """What a plan with the index costs, in the unit that the plan without it is given in."""

    candidate: Candidate
    plan: Plan
    before: float
    after: float
    is_used: bool

    @property
    def fall(self) -> float:
        """The share of the cost that is saved."""
        return 1 - self.after / self.before if self.before > 0 else 0.0


def choose(
    trials: Sequence[Trial], write_share: float = 0.0, least_before: float = 0.0
) -> Trial | None:
    """Return the narrowest of the indexes that bring nearly all the gain; None where none is worth
    having, also as the statement costs less than `least_before`.
    """
    least = LEAST_FALL_WRITTEN if write_share > MANY_WRITES else LEAST_FALL
    worth = [
        one for one in trials if one.is_used and one.fall >= least and one.before >= least_before
    ]
    if not worth:
        return None
    most = max(one.fall for one in worth)
    near = [one for one in worth if one.fall >= NEAR * most]
    return min(near, key=lambda one: (len(one.candidate.keys), one.after))


def rows_read(
    plan: Plan,
    tables: Mapping[str, Table],
    averages: Mapping[str, Sequence[float]],
    limit: int | None = None,
) -> float:
    """Estimate the work of a plan of SQLite, which tells no cost, in rows.

    `tables` by alias, in lower case; `averages` by index: how many rows have the same first
    column, the same first two, and so on. `limit` is how many rows are read until enough are
    found, where they come in order.
    """
    rows = sum(_rows(read, tables.get(read.name.lower()), averages) for read in plan.reads)
    if limit is not None and not plan.sorts:
        rows = min(rows, float(limit or _UNKNOWN_LIMIT) * _LOOKUP)
    return rows * (1 + plan.sorts + plan.groups)


def _rows(read: Read, table: Table | None, averages: Mapping[str, Sequence[float]]) -> float:
    rows = float(table.rows) if table is not None else 0.0
    if read.how is How.SCAN:
        return rows
    if read.how is How.AUTOMATIC:
        return 2 * rows
    if not read.index and read.equalities:
        return 1.0  # by the primary key
    found = rows
    if read.equalities:
        known = averages.get(read.index, ())
        found = known[read.equalities - 1] if len(known) >= read.equalities else _UNKNOWN_EQUAL
    found *= _BOUND**read.bounds
    return found if read.is_covering else found * _LOOKUP

"""Which indexes may serve a statement: equality first, then one range, or the order.

These are proposals. Whether one helps, only the planner can tell.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from optimizer.queries.engine.asked import Asked
from optimizer.queries.engine.plans import How, Index, Key, Plan, Read, Table

LEAST_ROWS = 1000  # a smaller table is read as fast without an index
FEW = 0.1  # of a table's rows; an index that finds more saves little
MAX_KEYS = 4
MAX_CANDIDATES = 12

_TEXTS = ("text", "character varying", "varchar")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that may help. The first `equalities` keys may stand in any order.

    `is_sure`: it helps by the rules alone, should no planner be able to try it. `needs_covering`:
    it only helps a query that finds all it needs in the index.
    """

    table: Table
    keys: tuple[Key, ...]
    equalities: int
    reason: str  # what it does, as the end of a sentence
    is_sure: bool = False
    needs_covering: bool = False
    limit: int | None = None  # how many rows are read, where it brings them in order
    redundant: tuple[str, ...] = ()  # indexes that it makes superfluous

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(key.column for key in self.keys)


def candidates(
    plan: Plan, asked: Iterable[Asked], tables: Mapping[tuple[str, str], Table]
) -> list[Candidate]:
    """Return the indexes worth trying, the ones that need fewest columns first.

    `tables` has what is known of each, by schema ("" where the statement names none) and name. A
    table that is read whole with nothing asked of it needs no index, nor does a small one.
    """
    found: dict[object, Candidate] = {}
    for one in asked:
        table = tables.get((one.schema, one.table))
        if table is None or table.rows < LEAST_ROWS:
            continue
        known = _of_table(one, table)
        reads = [read for read in plan.reads if _is_of(read, known, table)]
        for candidate in _served(plan, known, table, reads):
            if not _is_covered(candidate):
                key = (table.schema, table.name, candidate.keys)
                sure = candidate.is_sure or (key in found and found[key].is_sure)
                found[key] = replace(candidate, is_sure=sure, redundant=_redundant(candidate))
    ordered = sorted(found.values(), key=lambda one: (len(one.keys), not one.is_sure))
    return ordered[:MAX_CANDIDATES]


def _of_table(asked: Asked, table: Table) -> Asked:
    """Return what is asked with the columns as the table spells them, and without any it lacks."""
    names = {name: name for name in table.columns}
    names = {name.lower(): name for name in table.columns} | names

    def known(keys: list[Key]) -> list[Key]:
        found: dict[Key, None] = {}
        for key in keys:
            column = names.get(key.column)
            is_text = column is not None and table.columns[column].startswith(_TEXTS)
            if column is None or (key.function and not is_text):
                continue
            function = "" if key.function == "TEXT" else key.function
            found[replace(key, column=column, function=function)] = None
        return list(found)

    def whole(keys: list[Key]) -> list[Key]:
        right = known(keys)
        return right if len(right) == len(keys) else []

    lists = ("equal", "lists", "joined", "ranges", "bounds", "prefixes")
    narrowed = {name: known(getattr(asked, name)) for name in lists}
    lost = any(len(narrowed[name]) < len(set(getattr(asked, name))) for name in lists)
    return replace(
        asked,
        **narrowed,  # type: ignore[arg-type]
        order=whole(asked.order),
        group=whole(asked.group),
        has_others=asked.has_others or lost,
    )


def _is_of(read: Read, asked: Asked, table: Table) -> bool:
    if read.table and read.table != table.name:
        return False
    # PostgreSQL numbers an alias that it meets again: "book", "book_1".
    name, _, number = read.name.lower().rpartition("_")
    alias = asked.alias.lower()
    return read.name.lower() == alias or (bool(read.table) and number.isdigit() and name == alias)


def _served(plan: Plan, asked: Asked, table: Table, reads: list[Read]) -> Iterator[Candidate]:
    is_whole = any(read.how is not How.INDEX for read in reads)
    if is_whole:
        few = all((read.rows or 0.0) <= FEW * table.rows for read in reads)
        yield from _for_conditions(asked, table, is_sure=few)
    elif any(read.is_filtered for read in reads):
        yield from _for_conditions(asked, table, is_sure=False)
    if plan.sorts and asked.order and reads:
        yield from _for_order(asked, table, is_whole=is_whole)
    if plan.groups and asked.group and reads:
        yield from _for_groups(asked, table)


def _for_conditions(asked: Asked, table: Table, *, is_sure: bool) -> Iterator[Candidate]:
    equal = _narrowing(asked.equal, table)
    lookups = [*equal, *asked.lists, *asked.joined]
    last = [*asked.ranges, *(replace(one, operators="text_pattern_ops") for one in asked.prefixes)]
    whole = equal[: MAX_KEYS - 1]
    for key in lookups:
        is_best = is_sure and (whole or asked.joined or lookups)[:1] == [key]
        yield _finding(table, (key,), 1, is_sure=is_best and not last)
    for key in last:
        yield _finding(table, (key,), 0, is_sure=is_sure and not lookups and key == last[0])
        for first in lookups:
            yield _finding(table, (first, key), 1)
        if len(whole) > 1:
            yield _finding(table, (*whole, key), len(whole))
    if equal:
        for key in asked.bounds:
            yield _finding(table, (*whole, key), len(whole))
    for more in (whole, [*whole, *asked.joined[:1]], [*whole, *asked.lists[:1]]):
        if len(more) > 1:
            yield _finding(table, tuple(more), len(more), is_sure=is_sure and more == whole)


def _for_order(asked: Asked, table: Table, *, is_whole: bool) -> Iterator[Candidate]:
    equal = _narrowing(asked.equal, table)[: MAX_KEYS - 1]
    order = [key for key in asked.order if key.column not in [one.column for one in equal]]
    room = MAX_KEYS - len(equal)
    if not order or len(order) > room or any(key.function for key in equal):
        return
    is_bounded = bool(equal) or asked.is_unfiltered
    follows_bound = {key.column for key in (*asked.bounds, *asked.ranges)} == {order[0].column}
    if not is_bounded and not (follows_bound and asked.is_alone and not asked.has_others):
        return  # in that order it might read the whole table before it meets what is asked for
    reason = "reads rows in the order asked for, so that nothing is sorted"
    stops = not (asked.has_others or asked.lists or asked.ranges or asked.bounds or asked.prefixes)
    for length in range(1, len(order) + 1):
        yield Candidate(
            table,
            (*equal, *order[:length]),
            len(equal),
            reason,
            is_sure=is_whole and asked.limit is not None and length == len(order),
            needs_covering=asked.limit is None and not equal,
            limit=asked.limit if stops else None,
        )


def _for_groups(asked: Asked, table: Table) -> Iterator[Candidate]:
    equal = _narrowing(asked.equal, table)
    group = [key for key in asked.group if key.column not in [one.column for one in equal]]
    keys = (*equal, *group)
    if group and len(keys) <= MAX_KEYS and not any(key.function for key in keys):
        reason = "reads rows group by group, so that nothing is sorted"
        yield Candidate(table, keys, len(equal), reason, needs_covering=not equal)


def _finding(
    table: Table, keys: tuple[Key, ...], equalities: int, *, is_sure: bool = False
) -> Candidate:
    names = " and ".join(dict.fromkeys(key.column for key in keys))
    return Candidate(table, keys, equalities, f"finds rows by {names}", is_sure)


def _narrowing(keys: list[Key], table: Table) -> list[Key]:
    """Leave out a unique index's columns and all else where they are given: one row is found."""
    columns = {key.column for key in keys if not key.function}
    if any(one.is_unique and one.is_plain and set(one.columns) <= columns for one in table.indexes):
        return []
    return keys


def _is_covered(candidate: Candidate) -> bool:
    """Say whether an index that is there does the same; also whether a column comes twice."""
    if len(set(candidate.columns)) < len(candidate.keys):
        return True
    count = candidate.equalities
    for index in candidate.table.indexes:
        if (
            index.is_unique
            and index.is_plain
            and set(index.columns) <= set(candidate.columns[:count])
        ):
            return True
        if not index.is_plain and not any(key.function or key.operators for key in candidate.keys):
            continue
        theirs = index.keys[: len(candidate.keys)]
        if len(theirs) == len(candidate.keys) and _leads(candidate.keys, theirs, count):
            return True
    return False


def _leads(ours: tuple[Key, ...], theirs: tuple[Key, ...], equalities: int) -> bool:
    """Say whether an index with these leading keys serves as well as ours."""

    def looked_up(keys: tuple[Key, ...]) -> set[tuple[str, str]]:
        return {(key.column, key.function) for key in keys[:equalities]}

    rest, their_rest = ours[equalities:], theirs[equalities:]
    if looked_up(ours) != looked_up(theirs):
        return False
    turned = tuple(replace(key, is_descending=not key.is_descending) for key in rest)
    return their_rest in (rest, turned)


def _redundant(candidate: Candidate) -> tuple[str, ...]:
    """Return the indexes whose columns are the first of the candidate's."""

    def is_prefix(index: Index) -> bool:
        length = len(index.keys)
        if not index.is_plain or index.is_unique or index.is_constraint:
            return False
        return length < len(candidate.keys) and index.keys == candidate.keys[:length]

    return tuple(index.name for index in candidate.table.indexes if is_prefix(index))

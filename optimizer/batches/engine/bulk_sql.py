"""PostgreSQL's statements of a bulk write: from a source `s` with columns c0, c1, … into a table.

The source is a temporary table that COPY has filled, or arrays that `unnest` spreads. Names come
quoted; types are the table's own, without length or precision, since a cast to `varchar(5)` would
cut a text that the table itself refuses.
"""

# ruff: noqa: S608  # names come quoted, values never are in the text
from collections.abc import Sequence
from dataclasses import dataclass

STAGE = 'pg_temp."tuneup_bulk"'
# These types have no equality in PostgreSQL.
_INCOMPARABLE = frozenset({"json", "xml", "point", "polygon", "box", "circle", "line", "path"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: its quoted name, and its type."""

    name: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What a write means: numbers are positions in `columns`.

    `keys` find a row; `updates` are set and compared; `touched` are set where another has changed;
    of a row with a `sequence` the higher one stays.
    """

    table: str
    columns: tuple[Column, ...]
    keys: tuple[int, ...] = ()
    updates: tuple[int, ...] = ()
    touched: tuple[int, ...] = ()
    sequence: int | None = None
    skip_unchanged: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows come from: a FROM item named `s`, and what goes before the statement."""

    item: str
    prelude: str = ""


STAGED = Source(f"{STAGE} AS s")


def create_stage(columns: Sequence[Column]) -> str:
    """Return the statement that makes the temporary table; it ends with the transaction."""
    described = ", ".join(f"c{number} {column.type}" for number, column in enumerate(columns))
    return f"CREATE TEMPORARY TABLE {STAGE} ({described}) ON COMMIT DROP"


def drop_stage() -> str:
    """Return the statement that drops it, for a transaction that goes on."""
    return f"DROP TABLE {STAGE}"


def copy_to_stage(*, binary: bool) -> str:
    """Return the COPY that fills it."""
    return f"COPY {STAGE} FROM STDIN{' (FORMAT BINARY)' if binary else ''}"


def spread(columns: Sequence[Column]) -> Source:
    """Return a source of one array parameter a column."""
    arrays = ", ".join(f"%s::{column.type}[]" for column in columns)
    names = ", ".join(f"c{number}" for number in range(len(columns)))
    return Source(
        "s", f"WITH s({names}) AS MATERIALIZED (SELECT * FROM unnest({arrays}) AS u({names})) "
    )


def insert(target: Target, source: Source, *, ignore_conflicts: bool = False) -> str:
    """Return an INSERT that fails at a row that is there already, or leaves it alone."""
    conflict = f" ON CONFLICT{conflict_target(target)} DO NOTHING" if ignore_conflicts else ""
    return _insert_into(target, source) + conflict


def upsert(target: Target, source: Source, *, look_first: bool = False) -> str:
    """Return an INSERT that updates the row that is there already; nothing to update: no change.

    An ON CONFLICT locks the row that is there, even to leave it alone. With `look_first` rows that
    are stored as they are do not get that far.
    """
    if not target.updates:
        return insert(target, source, ignore_conflicts=True)
    condition = changes(target, excluded(target), "IS DISTINCT FROM")
    new = ""
    if look_first:
        differs = changes(target, _staged(target), "IS DISTINCT FROM")
        new = (
            f" WHERE NOT EXISTS (SELECT FROM {target.table} AS t"
            f" WHERE {_same_keys(target)} AND NOT {differs})"
        )
    return (
        f"{_insert_into(target, source)}{new} ON CONFLICT{conflict_target(target)} DO UPDATE SET "
        f"{assignments(target, excluded(target))}{condition and f' WHERE {condition}'}"
    )


def sample(target: Target, percent: float) -> str:
    """Return a SELECT of how many staged rows it looked at, and how many are stored as they are."""
    differs = changes(target, _staged(target), "IS DISTINCT FROM")
    return (
        f"SELECT count(*), count(t.{target.columns[target.keys[0]].name})"
        f" FROM {STAGE} AS s TABLESAMPLE SYSTEM ({percent:.3f})"
        f" LEFT JOIN {target.table} AS t ON {_same_keys(target)} AND NOT {differs}"
    )


def update(target: Target, source: Source) -> str:
    """Return an UPDATE of the rows that differ; it locks them in the order of the source's keys."""
    values = _staged(target)
    condition = " AND ".join(
        part for part in (_same_keys(target), changes(target, values, "IS DISTINCT FROM")) if part
    )
    return (
        f"{_with_locks(target, source, condition, 'NO KEY UPDATE')}"
        f"UPDATE {target.table} AS t SET {assignments(target, values)} FROM {source.item} "
        f"WHERE {condition} AND {_LOCKED}"
    )


def delete(target: Target, source: Source) -> str:
    """Return a DELETE; it locks the rows in the order of the source's keys."""
    condition = _same_keys(target)
    return (
        f"{_with_locks(target, source, condition, 'UPDATE')}"
        f"DELETE FROM {target.table} AS t USING {source.item} WHERE {condition} AND {_LOCKED}"
    )


def conflict_target(target: Target) -> str:
    """Return the columns of an ON CONFLICT in brackets, or nothing where any conflict is meant."""
    names = ", ".join(target.columns[key].name for key in target.keys)
    return f" ({names})" if names else ""


def assignments(target: Target, values: Sequence[str]) -> str:
    """Return what stands after SET."""
    return ", ".join(
        f"{target.columns[number].name} = {values[number]}"
        for number in (*target.updates, *target.touched)
    )


def changes(target: Target, values: Sequence[str], differs: str) -> str:
    """Return the condition under which a stored row `t` is to change, or nothing for always.

    A sequence decides alone: a newer one has to be stored even where all else is the same, or an
    older one could pass later. A stored NULL is older than any.
    """
    if (number := target.sequence) is not None:
        stored = f"t.{target.columns[number].name}"
        return (
            f"({stored} < {values[number]} OR ({stored} IS NULL AND {values[number]} IS NOT NULL))"
        )
    if not target.skip_unchanged:
        return ""
    differing = (_differs(target.columns[one], values[one], differs) for one in target.updates)
    return f"({' OR '.join(differing)})"


def excluded(target: Target) -> list[str]:
    """Return the values that an ON CONFLICT sees."""
    return [f"EXCLUDED.{column.name}" for column in target.columns]


def _differs(column: Column, value: str, differs: str) -> str:
    cast = "::text" if column.type in _INCOMPARABLE else ""
    return f"t.{column.name}{cast} {differs} {value}{cast}"


def _staged(target: Target) -> list[str]:
    return [f"s.c{number}" for number in range(len(target.columns))]


def _insert_into(target: Target, source: Source) -> str:
    names = ", ".join(column.name for column in target.columns)
    values = ", ".join(_staged(target))
    return (
        f"{source.prelude}INSERT INTO {target.table} AS t ({names}) "
        f"SELECT {values} FROM {source.item}"
    )


def _same_keys(target: Target) -> str:
    return " AND ".join(f"t.{target.columns[key].name} = s.c{key}" for key in target.keys)


# Makes the locks' query run first, and whole: it reads no column, so it is evaluated once.
_LOCKED = "(SELECT count(*) FROM locked) >= 0"


def _with_locks(target: Target, source: Source, condition: str, strength: str) -> str:
    order = ", ".join(f"s.c{key}" for key in target.keys)
    locked = (
        f"locked AS MATERIALIZED (SELECT 1 FROM {target.table} AS t JOIN {source.item} "
        f"ON {condition} ORDER BY {order} FOR {strength} OF t) "
    )
    return f"{source.prelude.rstrip()}, {locked}" if source.prelude else f"WITH {locked}"

"""SQLite's statements of a bulk write: one row each, prepared once and run for many.

Numbered parameters let an UPDATE use a value twice. Names come quoted.
"""

# ruff: noqa: S608  # names come quoted, values never are in the text
from optimizer.batches.engine.bulk_sql import (
    Target,
    assignments,
    changes,
    conflict_target,
    excluded,
)


def insert(target: Target, *, ignore_conflicts: bool = False) -> str:
    """Return an INSERT that fails at a row that is there already, or leaves it alone."""
    conflict = f" ON CONFLICT{conflict_target(target)} DO NOTHING" if ignore_conflicts else ""
    return _insert_into(target) + conflict


def upsert(target: Target) -> str:
    """Return an INSERT that updates the row that is there already; nothing to update: no change."""
    if not target.updates:
        return insert(target, ignore_conflicts=True)
    condition = changes(target, excluded(target), "IS NOT")
    return (
        f"{_insert_into(target)} ON CONFLICT{conflict_target(target)} DO UPDATE SET "
        f"{assignments(target, excluded(target))}{condition and f' WHERE {condition}'}"
    )


def update(target: Target) -> str:
    """Return an UPDATE of a row that differs."""
    values = _parameters(target)
    condition = changes(target, values, "IS NOT")
    return (
        f"UPDATE {target.table} AS t SET {assignments(target, values)} "
        f"WHERE {_same_keys(target)}{condition and f' AND {condition}'}"
    )


def delete(target: Target) -> str:
    """Return a DELETE."""
    return f"DELETE FROM {target.table} AS t WHERE {_same_keys(target)}"


def _parameters(target: Target) -> list[str]:
    return [f"?{number}" for number in range(1, len(target.columns) + 1)]


def _insert_into(target: Target) -> str:
    names = ", ".join(column.name for column in target.columns)
    return f"INSERT INTO {target.table} AS t ({names}) VALUES ({', '.join(_parameters(target))})"


def _same_keys(target: Target) -> str:
    return " AND ".join(f"t.{target.columns[key].name} = ?{key + 1}" for key in target.keys)

"""What a statement asks of each table: its conditions, joins, order and groups, read from the SQL.

Only what an index can serve is told apart; the rest is noted as something that it cannot. Reading
takes milliseconds, so it has no place where queries are run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from optimizer.queries.engine.asked import Asked, Dialect
from optimizer.queries.engine.fingerprint import MAX_TEXT_LENGTH, Verb, shape_of
from optimizer.queries.engine.ordering import read_order
from optimizer.queries.engine.plans import Key
from optimizer.queries.engine.scopes import Scope, bare

_EXPLAINED = (Verb.SELECT, Verb.UPDATE, Verb.DELETE)
_SYMMETRIC = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_CHANGING = (exp.Insert, exp.Merge, exp.Create, exp.Drop, exp.Command, exp.Into)

# The table, its column, the list of Asked that it goes to, and what the column is compared with.
_Reading = tuple[Asked, Key, str, list[exp.Expr]]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may be explained."""

    asked: tuple[Asked, ...]
    is_write: bool


def read_statement(sql: str, dialect: Dialect) -> Statement | None:
    """Return what a statement asks of each table; None where it is refused.

    Refused is whatever is not one SELECT, UPDATE or DELETE, and what cannot be read.
    """
    if len(sql) > MAX_TEXT_LENGTH or shape_of(sql).verb not in _EXPLAINED:
        return None
    try:
        found = sqlglot.parse(sql, dialect=dialect.value)
        root = found[0] if len(found) == 1 else None
        if not isinstance(root, (exp.Query, exp.Update, exp.Delete)) or root.find(*_CHANGING):
            return None
        views = {cte.alias_or_name.lower() for cte in root.find_all(exp.CTE)}
        asked = [
            one
            for part in root.find_all(exp.Select, exp.Update, exp.Delete)
            for one in _asked_in(Scope(part, dialect, views))
        ]
    except (SqlglotError, RecursionError):
        return None
    return Statement(tuple(asked), root.find(exp.Update, exp.Delete) is not None)


def _asked_in(scope: Scope) -> list[Asked]:
    if scope.is_refused:
        return []
    for join, alias in scope.joins:
        for part in _conjuncts(join.args.get("on")):
            _note(scope, part, only=alias if join.side == "LEFT" else "")
    where = scope.node.args.get("where")
    for part in _conjuncts(where.this if where is not None else None):
        _note(scope, part)
    asked = list(scope.by_alias.values())
    is_unfiltered = not scope.others and not any(one.is_narrowed for one in asked)
    for one in asked:
        one.is_unfiltered = is_unfiltered
        _pair_bounds(one)
    if isinstance(scope.node, exp.Select):
        read_order(scope, scope.node)
    return asked


def _note(scope: Scope, node: exp.Expr, only: str = "") -> None:
    """Note a condition; `only` is the one table that it may narrow, as in LEFT JOIN's ON."""
    is_served = False
    for owner, key, kind, others in _readings(scope, node):
        needed = scope.tables_in(*others)
        if (only and owner.alias != only) or owner.alias in needed:
            continue
        if needed and kind != "equal":
            continue
        getattr(owner, "joined" if needed else kind).append(key)
        is_served = True
    if not is_served:
        for alias in scope.tables_in(node) & set(scope.by_alias):
            scope.by_alias[alias].has_others = True


def _readings(scope: Scope, node: exp.Expr) -> Iterator[_Reading]:
    """Yield the ways an index may serve a condition."""
    if isinstance(node, exp.Escape):
        node = node.this
    if isinstance(node, exp.Or):
        yield from _of_one_column(scope, node)
        return
    if isinstance(node, exp.Column):
        found = scope.key(node)
        if found is not None and scope.dialect is Dialect.POSTGRESQL:
            yield *found, "equal", []  # a boolean by itself; SQLite looks up no such thing
        return
    compared = list(node.iter_expressions())
    for one in compared if isinstance(node, _SYMMETRIC) else compared[:1]:
        others = [other for other in compared if other is not one]
        found, kind = scope.key(one), _kind(scope, node, others)
        if found is not None and kind:
            yield *found, kind, others


def _kind(scope: Scope, node: exp.Expr, others: list[exp.Expr]) -> str:
    """Return which list of Asked a column goes to that is compared so, or "" for none."""
    other = bare(others[0]) if others else None
    if isinstance(node, exp.EQ) and not isinstance(other, exp.Null):
        return "lists" if isinstance(other, exp.Any) else "equal"
    if isinstance(node, exp.Is) and isinstance(other, exp.Null):
        return "equal"
    if isinstance(node, exp.In) and not node.args.get("unnest"):
        return "lists"
    if isinstance(node, exp.Between):
        return "ranges"
    if isinstance(node, (exp.GT, exp.GTE, exp.LT, exp.LTE)):
        return "bounds"
    if isinstance(node, exp.Like) and scope.dialect is Dialect.POSTGRESQL and _has_prefix(other):
        return "prefixes"
    return ""


def _of_one_column(scope: Scope, node: exp.Or) -> Iterator[_Reading]:
    """Read `a = ? OR a = ?` as a list; any other OR is nothing for one index."""
    found: list[_Reading] = []
    for part in node.flatten():
        read = [one for one in _readings(scope, part) if one[2] in ("equal", "lists")]
        if len(read) != 1 or scope.tables_in(*read[0][3]):
            return
        found += read
    if len({(owner.alias, key) for owner, key, _, _ in found}) == 1:
        yield found[0][0], found[0][1], "lists", []


def _conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    node = bare(node)
    if isinstance(node, exp.And):
        for part in (node.this, node.expression):
            yield from _conjuncts(part)
    elif node is not None:
        yield node


def _has_prefix(pattern: exp.Expr | None) -> bool:
    """Say whether a LIKE's pattern begins with a text that is known."""
    return isinstance(pattern, exp.Literal) and str(pattern.this)[:1] not in ("", "%", "_", "\\")


def _pair_bounds(asked: Asked) -> None:
    """Make a range of two bounds of one column."""
    for key in dict.fromkeys(asked.bounds):
        if asked.bounds.count(key) > 1:
            asked.bounds = [other for other in asked.bounds if other != key]
            asked.ranges.append(key)

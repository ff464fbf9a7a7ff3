"""What a SELECT sorts and groups by, where all of it is columns of one table."""

from collections.abc import Sequence
from typing import cast

from sqlglot import exp

from optimizer.queries.engine.asked import Asked, Dialect
from optimizer.queries.engine.plans import Key
from optimizer.queries.engine.scopes import Scope


def read_order(scope: Scope, select: exp.Select) -> None:
    """Note ORDER BY, GROUP BY, DISTINCT and LIMIT of a SELECT with what it asks of its tables."""
    group, order = select.args.get("group"), select.args.get("order")
    if group is not None or select.args.get("distinct") is not None:
        by = group.expressions if group is not None else select.expressions
        if (found := _of_one(scope, select, by)) is not None:
            found[0].group = list(dict.fromkeys(found[1]))
        return
    if any(one.find(exp.AggFunc) for one in select.expressions):
        return
    limit = _limit(select)
    for one in scope.by_alias.values():
        one.limit = limit
    if order is not None:
        _read_keys(scope, select, order.expressions)


def _limit(select: exp.Select) -> int | None:
    """Return LIMIT in rows, with OFFSET; 0 where the text does not tell."""
    limit = select.args.get("limit")
    if limit is None:
        return None
    offset = select.args.get("offset")
    counts = [limit.args.get("expression") or limit.args.get("count")]
    counts += [offset.expression] if offset is not None else []
    if any(isinstance(count, exp.Neg) for count in counts[:1]):
        return None  # SQLite's LIMIT -1 is none
    texts = [count.name if isinstance(count, exp.Literal) else "" for count in counts]
    return sum(map(int, texts)) if all(text.isdigit() for text in texts) else 0


def _read_keys(scope: Scope, select: exp.Select, ordered: Sequence[exp.Expr]) -> None:
    found = _of_one(scope, select, [one.this for one in ordered])
    if found is None:
        return
    keys: dict[str, Key] = {}
    for one, key in zip(ordered, found[1], strict=True):
        is_descending = bool(one.args.get("desc"))
        # PostgreSQL takes NULL for the largest value, SQLite for the smallest.
        nulls_first = is_descending is (scope.dialect is Dialect.POSTGRESQL)
        if bool(one.args.get("nulls_first")) is not nulls_first:
            return
        keys.setdefault(key.column, Key(key.column, is_descending=is_descending))
    found[0].order = list(keys.values())


def _of_one(
    scope: Scope, select: exp.Select, nodes: Sequence[exp.Expr]
) -> tuple[Asked, list[Key]] | None:
    """Return the columns that expressions are, if all are of one table."""
    found = [scope.key(_resolved(scope, select, node)) for node in nodes]
    known = [one for one in found if one is not None and not one[1].function]
    if len(known) != len(nodes) or len({owner.alias for owner, _ in known}) != 1:
        return None
    return known[0][0], [key for _, key in known]


def _resolved(scope: Scope, select: exp.Select, node: exp.Expr) -> exp.Expr | None:
    """Return what a position or an alias of the SELECT list stands for."""
    chosen = select.expressions
    if isinstance(node, exp.Literal):
        at = int(node.name) if node.name.isdigit() and not node.is_string else 0
        return chosen[at - 1].unalias() if 0 < at <= len(chosen) else None
    if isinstance(node, exp.Column) and node.args.get("table") is None:
        for one in chosen:
            if isinstance(one, exp.Alias) and scope.fold(one.args["alias"]) == scope.fold(node):
                return cast(exp.Expr, one.this)
    return node.unalias()

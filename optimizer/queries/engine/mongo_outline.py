"""The outline of a MongoDB document: its names and operators as tokens, its values apart.

One walk gives both; depth, width and number of tokens are bounded. A name that is data (digits or
an id as part of a path) is folded, so that `scores.1` and `scores.2` are one.
"""

import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 10
MAX_WIDTH = 40  # names of one document, items of one list
MAX_TOKENS = 400
MAX_NAME_LENGTH = 80
_MEMO_SIZE = 8192

VALUE, ONE_OF, ANY_OF, ALIKE, MORE = "?", "[?]", "[?+]", "+", "…"
LEAF, DOCUMENT, LIST = 0, 1, 2

Tokens = list[str]
Values = list[Any]

_kinds: dict[type, int] = {dict: DOCUMENT, list: LIST, tuple: LIST}
_names: dict[Any, str] = {}
_LOGICAL = frozenset({"$and", "$or", "$nor"})
_ALTERNATIVES = frozenset({"$in", "$nin", "$all"})
_WITHIN = frozenset({"$not", "$elemMatch"})
_COLLECTIONS = frozenset({"from", "coll", "into", "localField", "foreignField", "as", "path"})
_DATA = re.compile(
    r"\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII
)
_PATH = re.compile(r"\$\$?[A-Za-z_][\w.$-]*", re.ASCII)


def kind_of(value: Any) -> int:
    """Say whether a value is a DOCUMENT, a LIST or a LEAF."""
    of = type(value)
    found = _kinds.get(of)
    if found is None:
        found = DOCUMENT if issubclass(of, Mapping) else LIST if issubclass(of, list) else LEAF
        if len(_kinds) < _MEMO_SIZE:
            _kinds[of] = found
    return found


def shown_name(name: Any) -> str:
    """Return a field's name, or a path of names, as it is shown."""
    if not isinstance(name, str):  # no document of a server's has such a name
        return VALUE
    parts = name[:MAX_NAME_LENGTH].replace("\0", "").split(".")
    shown = ".".join([VALUE if _DATA.fullmatch(part) else part for part in parts])
    return shown + MORE if len(name) > MAX_NAME_LENGTH else shown


def name_token(name: Any) -> str:
    """Return the token of a name, whose value's tokens follow."""
    token = f"{shown_name(name)}: "
    if isinstance(name, str):
        if len(_names) >= _MEMO_SIZE:  # names made of values have no end
            _names.clear()
        _names[name] = token
    return token


def outline_filter(filter_: Any, tokens: Tokens, values: Values, depth: int = 0) -> None:
    """Outline a filter: what stands under a name is a value, unless it holds operators."""
    if depth > MAX_DEPTH or len(tokens) > MAX_TOKENS or len(filter_) > MAX_WIDTH:
        _cut(filter_, tokens, values)
        return
    names, kinds = _names, _kinds
    for name, value in filter_.items():
        tokens.append(names.get(name) or name_token(name))
        kind = kinds.get(type(value))
        if kind is None:
            kind = kind_of(value)
        if kind == LEAF:
            tokens.append(VALUE)
            values.append(value)
        elif kind == DOCUMENT:
            if name == "$expr":
                outline_expression(value, tokens, values, depth + 1)
            elif name in _WITHIN or has_operators(value):
                tokens.append("{")
                outline_filter(value, tokens, values, depth + 1)
                tokens.append("}")
            else:  # equal to this document
                tokens.append(VALUE)
                values.append(value)
        elif name in _LOGICAL:
            _outline_branches(value, tokens, values, depth + 1, folded=name == "$or")
        elif name in _ALTERNATIVES:
            tokens.append(ANY_OF if len(value) > 1 else ONE_OF)
            values.append(value)
        else:
            tokens.append(VALUE)
            values.append(value)


def has_operators(document: Mapping[Any, Any]) -> bool:
    """Say whether a document is one of operators, `{$gt: 3}`, and no value."""
    first = next(iter(document), None)
    return isinstance(first, str) and first.startswith("$")


def _outline_branches(
    branches: Any, tokens: Tokens, values: Values, depth: int, *, folded: bool
) -> None:
    """Outline what is joined; of alternatives that look alike only the first is shown."""
    seen: set[tuple[str, ...]] = set()
    tokens.append("[")
    for number, branch in enumerate(branches):
        of_one: Tokens = []
        if number == MAX_WIDTH and not folded:
            _cut(branches, tokens, values)
            break
        if kind_of(branch) == DOCUMENT:
            outline_filter(branch, of_one, values, depth)
        else:
            of_one.append(VALUE)
            values.append(branch)
        if folded and tuple(of_one) in seen:
            if tokens[-1] != ALIKE:
                tokens.append(ALIKE)
        elif len(tokens) + len(of_one) > MAX_TOKENS:
            _cut(branches, tokens, values)
            break
        else:
            seen.add(tuple(of_one))
            tokens += ["{", *of_one, "}"]
    tokens.append("]")


def outline_expression(expression: Any, tokens: Tokens, values: Values, depth: int = 0) -> None:
    """Outline an aggregation's expression: strings such as "$author.name" are names in it."""
    kind = kind_of(expression)
    if kind == LEAF:
        if type(expression) is str and _PATH.fullmatch(expression):
            tokens.append(shown_name(expression))
        else:
            tokens.append(VALUE)
            values.append(expression)
    elif depth > MAX_DEPTH or len(tokens) > MAX_TOKENS or len(expression) > MAX_WIDTH:
        _cut(expression, tokens, values)
    elif kind == DOCUMENT:
        tokens.append("{")
        for name, value in expression.items():
            tokens.append(_names.get(name) or name_token(name))
            _outline_operand(name, value, tokens, values, depth)
        tokens.append("}")
    elif all(kind_of(one) == LEAF and not _is_path(one) for one in expression):
        tokens.append(ANY_OF if len(expression) > 1 else ONE_OF if expression else "[]")
        values.append(expression)
    else:
        tokens.append("[")
        for one in expression:
            outline_expression(one, tokens, values, depth + 1)
        tokens.append("]")


def _outline_operand(name: Any, value: Any, tokens: Tokens, values: Values, depth: int) -> None:
    if name == "$match" and kind_of(value) == DOCUMENT:
        tokens.append("{")
        outline_filter(value, tokens, values, depth + 1)
        tokens.append("}")
    elif name == "$literal":
        tokens.append(VALUE)
        values.append(value)
    elif name in ("$sort", "$project", "sortBy"):
        outline_order(value, tokens, values, depth + 1)
    elif name == "$limit" and value == 1:
        tokens.append("1")
    elif depth > 0 and name in _COLLECTIONS and type(value) is str and value[:1] != "$":
        tokens.append(shown_name(value))
    else:
        outline_expression(value, tokens, values, depth + 1)


def _is_path(value: Any) -> bool:
    return type(value) is str and _PATH.fullmatch(value) is not None


def outline_order(order: Any, tokens: Tokens, values: Values, depth: int = 0) -> None:
    """Outline a sort or a projection, in which 1, 0, -1, True and False are no data."""
    if kind_of(order) != DOCUMENT or depth > MAX_DEPTH or len(order) > MAX_WIDTH:
        outline_expression(order, tokens, values, depth)
        return
    tokens.append("{")
    for name, value in order.items():
        tokens.append(_names.get(name) or name_token(name))
        if type(value) in (int, bool, float) and value in (1, 0, -1):
            tokens.append(str(int(value)))
        else:
            outline_expression(value, tokens, values, depth + 1)
    tokens.append("}")


def outline_names(fields: Any, tokens: Tokens) -> None:
    """Outline an update's fields: the names, whatever stands under them."""
    tokens.append("{")
    if kind_of(fields) == DOCUMENT:
        for number, name in enumerate(fields):
            if number == MAX_WIDTH:
                tokens.append(MORE)
                break
            tokens += (_names.get(name) or name_token(name), VALUE)
    tokens.append("}")


def _cut(rest: Any, tokens: Tokens, values: Values) -> None:
    """Leave out what is too much to show; it still tells one command from another."""
    if not tokens or tokens[-1] != MORE:
        tokens.append(MORE)
    values.append(rest)


def joined(tokens: list[str] | tuple[str, ...]) -> str:
    """Return tokens as text, `author: ?, year: {$gt: ?}`."""
    parts: list[str] = []
    for token in tokens:
        if parts and token not in ("}", "]", ALIKE):
            before = parts[-1]
            if before not in ("{", "[") and not before.endswith(": "):
                parts.append(", ")
        parts.append(token)
    return "".join(parts)

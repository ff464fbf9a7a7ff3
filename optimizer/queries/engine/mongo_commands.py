"""The outline of each MongoDB command that a program sends: its parts, as tokens and values.

A token that begins with a zero byte, which no name has, starts a part.
"""

from collections.abc import Callable, Mapping
from typing import Any

from optimizer.queries.engine.mongo_outline import (
    DOCUMENT,
    LIST,
    Tokens,
    Values,
    has_operators,
    kind_of,
    outline_expression,
    outline_filter,
    outline_names,
    outline_order,
    shown_name,
)

Outline = Callable[[Mapping[str, Any], Tokens, Values], None]


def filter_of(command_name: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the filter that a command has, of a batch the first one's; empty where it has none."""
    found: Any = None
    if command_name == "find":
        found = command.get("filter")
    elif command_name == "aggregate":
        first = next(iter(command.get("pipeline") or ()), None)
        found = first.get("$match") if kind_of(first) == DOCUMENT else None  # type: ignore[union-attr]
    elif command_name in ("update", "delete"):
        first = next(iter(command.get(f"{command_name}s") or ()), None)
        found = first.get("q") if first else None
    else:
        found = command.get("query")
    return found if kind_of(found) == DOCUMENT else {}


def _find(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    get = command.get
    limit = get("limit", 0)
    if limit == 1:
        tokens.append("\0one")
    if get("tailable"):
        tokens.append("\0tailable")
    if filter_ := get("filter"):
        tokens.append("\0filter")
        outline_filter(filter_, tokens, values)
    if projection := get("projection"):
        tokens.append("\0projection")
        outline_order(projection, tokens, values)
    if order := get("sort"):
        tokens.append("\0sort")
        outline_order(order, tokens, values)
    if skip := get("skip"):
        tokens.append("\0skip")
        values.append(skip)
    if limit not in (0, 1):
        tokens.append("\0limit")
        values.append(limit)


def _aggregate(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    tokens.append("\0pipeline")
    _pipeline(command["pipeline"], tokens, values)


def _pipeline(stages: Any, tokens: Tokens, values: Values) -> None:
    for stage in stages:
        outline_expression(stage, tokens, values)


def _count(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    if "key" in command:  # of distinct
        tokens += ("\0key", shown_name(command["key"]))
    if query := command.get("query"):
        tokens.append("\0filter")
        outline_filter(query, tokens, values)
    for name in ("skip", "limit"):
        if name in command:
            tokens.append(f"\0{name}")
            values.append(command[name])


def _insert(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    documents = command.get("documents") or ()
    if len(documents) > 1:
        tokens.append("\0several")
    for one in documents:  # the driver has given each an _id
        values.append(one["_id"] if kind_of(one) == DOCUMENT and "_id" in one else one)


def _update(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    statements = command.get("updates") or ()
    _note_several(statements, tokens, values)
    for one in statements[:1]:
        if one.get("multi"):
            tokens.append("\0many")
        if one.get("upsert"):
            tokens.append("\0upsert")
        _change(one.get("q"), one.get("u"), tokens, values)


def _delete(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    statements = command.get("deletes") or ()
    _note_several(statements, tokens, values)
    for one in statements[:1]:
        if one.get("limit") != 1:
            tokens.append("\0many")
        tokens.append("\0filter")
        outline_filter(one.get("q") or {}, tokens, values)


def _note_several(statements: Any, tokens: Tokens, values: Values) -> None:
    if len(statements) > 1:  # the first stands for all: that it is a batch is what counts
        tokens.append("\0several")
        values.append(statements)


def _change(filter_: Any, change: Any, tokens: Tokens, values: Values) -> None:
    tokens.append("\0filter")
    outline_filter(filter_ or {}, tokens, values)
    if kind_of(change) == LIST:
        tokens.append("\0pipeline")
        _pipeline(change, tokens, values)
        return
    values.append(change)
    if kind_of(change) == DOCUMENT and has_operators(change):
        tokens.append("\0update")
        for operator, fields in change.items():
            tokens.append(f"{shown_name(operator)}: ")
            outline_names(fields, tokens)
    else:
        tokens.append("\0replacement")


def _find_and_modify(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    if command.get("upsert"):
        tokens.append("\0upsert")
    if command.get("remove"):
        tokens += ("\0remove", "\0filter")
        outline_filter(command.get("query") or {}, tokens, values)
    else:
        _change(command.get("query"), command.get("update"), tokens, values)
    if order := command.get("sort"):
        tokens.append("\0sort")
        outline_order(order, tokens, values)


def _bulk_write(command: Mapping[str, Any], tokens: Tokens, values: Values) -> None:
    operations = command.get("ops") or ()
    tokens.append("\0several" if len(operations) > 1 else "\0one")
    tokens += [shown_name(one.get("ns")) for one in command.get("nsInfo") or ()][:8]
    values.append(operations)


OUTLINES: dict[str, Outline] = {
    "find": _find,
    "aggregate": _aggregate,
    "count": _count,
    "distinct": _count,
    "insert": _insert,
    "update": _update,
    "delete": _delete,
    "findAndModify": _find_and_modify,
    "bulkWrite": _bulk_write,
}

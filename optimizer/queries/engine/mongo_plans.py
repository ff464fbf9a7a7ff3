"""MongoDB's explain, read; and the keys of an index by the rule equality, sort, range."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.queries.engine.plans import MAX_TEXT_LENGTH

MAX_KEYS = 4

Keys = tuple[tuple[str, int], ...]  # fields with 1, or -1 for one that descends

_EQUAL = frozenset({"$eq"})
_RANGE = frozenset({"$gt", "$gte", "$lt", "$lte"})
_ANCHORED = re.compile(r"\^[\w ]")
_CONDITIONS = {"find": "filter", "count": "query", "distinct": "query", "findAndModify": "query"}
_WRITES = {"update": "updates", "delete": "deletes"}


@dataclass(frozen=True, slots=True)
class Query:
    """What a command looks for."""

    collection: str
    conditions: Mapping[str, Any]
    sort: Keys = ()
    limit: int = 0  # documents; 0 for all
    is_write: bool = False


@dataclass(frozen=True, slots=True)
class MongoPlan:
    """What explain says. The counts are None where it was not asked to run the command."""

    is_scan: bool  # the whole collection is read
    is_sorted: bool  # documents are sorted after they are read
    examined: int | None
    returned: int | None
    text: str


def query_of(command: Mapping[str, Any]) -> Query | None:
    """Return what a command looks for; None for one that looks for nothing, or for several."""
    name = next(iter(command), "")
    collection = command.get(name)
    if not isinstance(collection, str):
        return None
    if name in _WRITES:
        statements: Sequence[Mapping[str, Any]] = command.get(_WRITES[name]) or ()
        if len(statements) != 1:
            return None
        return Query(collection, _mapping(statements[0].get("q")), is_write=True)
    if name == "aggregate":
        return _of_pipeline(collection, command.get("pipeline") or ())
    if name not in _CONDITIONS:
        return None
    return Query(
        collection,
        _mapping(command.get(_CONDITIONS[name])),
        _sort(command.get("sort")),
        abs(int(command.get("limit") or 0))
        + int(command.get("skip") or 0) * bool(command.get("limit")),
        is_write=name == "findAndModify",
    )


def keys_for(query: Query) -> Keys:
    """Return the keys of an index that serves a query; () where none surely would."""
    equal, others, is_opaque = _split(query.conditions)
    if "_id" in equal:
        return ()
    keys: dict[str, int] = dict.fromkeys(equal[: MAX_KEYS - 1], 1)
    sort = tuple((field, way) for field, way in query.sort if field not in keys)
    # Without an equality, what is read in order may be the whole collection.
    if sort and (keys or (query.limit and not others and not is_opaque)):
        keys |= dict(sort)
    if others and len(keys) < MAX_KEYS and others[0] not in keys:
        keys[others[0]] = 1
    return tuple(keys.items()) if len(keys) <= MAX_KEYS else ()


def serves(there: Keys, wanted: Keys, equalities: int) -> bool:
    """Say whether an index leads with the keys wanted; of those, the first may be in any order."""
    theirs = there[: len(wanted)]
    if {field for field, _ in theirs[:equalities]} != {field for field, _ in wanted[:equalities]}:
        return False
    rest, their_rest = wanted[equalities:], theirs[equalities:]
    return their_rest in (rest, tuple((field, -way) for field, way in rest))


def equalities_of(query: Query) -> int:
    """Return how many of an index's first keys are looked up."""
    return len(_split(query.conditions)[0][: MAX_KEYS - 1])


def read_explain(document: Mapping[str, Any]) -> MongoPlan:
    """Return the plan of explain's document. Raises ValueError where it has none."""
    cursor: Mapping[str, Any] = next(
        (one["$cursor"] for one in document.get("stages") or () if "$cursor" in one), {}
    )
    planner = document.get("queryPlanner") or cursor.get("queryPlanner") or {}
    winning = planner.get("winningPlan")
    if not isinstance(winning, Mapping):
        raise ValueError("the server explains nothing of this command")
    stages = list(_stages(winning))
    names = [str(stage.get("stage", "")) for stage, _ in stages]
    if not any(names):
        raise ValueError("the server explains nothing of this command")
    ran = document.get("executionStats") or cursor.get("executionStats") or {}
    text = "\n".join(
        "  " * depth + " ".join(filter(None, (name, stage.get("indexName", ""))))
        for (stage, depth), name in zip(stages, names, strict=True)
        if name
    )
    late_sort = any("$sort" in stage for stage in document.get("stages") or ())
    return MongoPlan(
        "COLLSCAN" in names,
        late_sort or any(name.startswith("SORT") and name != "SORT_MERGE" for name in names),
        ran.get("totalDocsExamined"),
        ran.get("nReturned"),
        text[:MAX_TEXT_LENGTH],
    )


def _stages(node: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[Mapping[str, Any], int]]:
    node = node.get("queryPlan", node)
    yield node, depth
    below = [node.get("inputStage"), *(node.get("inputStages") or ()), *(node.get("shards") or ())]
    for child in below:
        if isinstance(child, Mapping):
            yield from _stages(child.get("winningPlan", child), depth + 1)


def _of_pipeline(collection: str, pipeline: Sequence[Mapping[str, Any]]) -> Query:
    """Read the stages that an index may serve: $match, $sort and $limit at the beginning."""
    conditions: list[Mapping[str, Any]] = []
    sort: Keys = ()
    for stage in pipeline:
        name = next(iter(stage), "")
        if name == "$match" and not sort:
            conditions.append(_mapping(stage[name]))
        elif name == "$sort" and not sort:
            sort = _sort(stage[name])
        elif name == "$limit":
            return Query(collection, {"$and": conditions}, sort, int(stage[name]))
        else:
            break
    return Query(collection, {"$and": conditions}, sort)


def _split(conditions: Mapping[str, Any]) -> tuple[list[str], list[str], bool]:
    """Return the fields looked up, those of a range or list, and whether there is anything else."""
    equal: dict[str, None] = {}
    others: dict[str, None] = {}
    is_opaque = False
    for field, value in conditions.items():
        if field == "$and":
            for part in value:
                more_equal, more_others, more_opaque = _split(_mapping(part))
                equal |= dict.fromkeys(more_equal)
                others |= dict.fromkeys(more_others)
                is_opaque |= more_opaque
        elif field.startswith("$"):
            is_opaque |= field != "$comment"
        elif (kind := _kind(value)) == "equal":
            equal[field] = None
        elif kind == "range":
            others[field] = None
        else:
            is_opaque = True
    return list(equal), [field for field in others if field not in equal], is_opaque


def _kind(value: Any) -> str:
    if isinstance(value, re.Pattern) or type(value).__name__ == "Regex":
        is_anchored = isinstance(value.pattern, str) and _ANCHORED.match(value.pattern)
        return "range" if is_anchored and not value.flags & re.IGNORECASE else ""
    if not isinstance(value, Mapping) or not value or not str(next(iter(value))).startswith("$"):
        return "equal"
    operators = set(value)
    if operators <= _EQUAL:
        return "equal"
    if operators == {"$in"}:
        return "equal" if len(value["$in"]) == 1 else "range"
    return "range" if operators <= _RANGE else ""


def _sort(given: Any) -> Keys:
    """Return a sort's keys; () where an index has no such order, as by a text's score."""
    pairs = list(_mapping(given).items())
    if any(way not in (1, -1) for _, way in pairs):
        return ()
    return tuple((str(field), int(way)) for field, way in pairs)


def _mapping(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}

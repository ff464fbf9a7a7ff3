"""A MongoDB command without its values, to ask for its plan later."""

import json
from collections.abc import Mapping
from typing import Any

_KEPT = frozenset(
    ("sort", "$sort", "limit", "$limit", "skip", "$skip", "hint", "projection", "$project", "key")
)
_SENT = frozenset(
    ("find", "aggregate", "count", "distinct", "findAndModify", "filter", "query", "pipeline",
     "sort", "limit", "skip", "hint", "projection", "key", "cursor", "collation")
)  # fmt: skip
_MOST_DEPTH, _MOST_WIDTH, _MOST_LENGTH = 8, 50, 10_000


def sample_of(database: str, command: Mapping[str, Any]) -> str:
    """Return a reading command as JSON with neutral values, "" for one that is not planned."""
    name = next(iter(command), "")
    if name not in ("find", "aggregate", "count", "distinct"):
        return ""
    told = {
        one: str(value) if one == name else _plain(value, one in _KEPT, 0)
        for one, value in command.items()
        if one in _SENT
    }
    text = json.dumps({"database": database, "command": told})
    return text if len(text) <= _MOST_LENGTH else ""


def read_sample(text: str) -> tuple[str, dict[str, Any]]:
    """Return the database and the command of a sample. Raises ValueError for another text."""
    found = json.loads(text)
    if not isinstance(found, dict) or set(found) != {"database", "command"}:
        raise ValueError("no sample of a command")
    return str(found["database"]), dict(found["command"])


def _plain(value: Any, kept: bool, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        return None
    if isinstance(value, Mapping):
        below = list(value.items())[:_MOST_WIDTH]
        return {str(name): _plain(one, kept or name in _KEPT, depth + 1) for name, one in below}
    if isinstance(value, list | tuple):
        return [_plain(one, kept, depth + 1) for one in value[: 2 if not kept else _MOST_WIDTH]]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if kept else 0
    # A reference to a field is no value.
    is_name = isinstance(value, str) and (kept or value.startswith("$"))
    return str(value) if is_name else ""

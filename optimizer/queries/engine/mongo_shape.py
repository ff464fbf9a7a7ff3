"""What a MongoDB command looks like, whatever its values: the same `Shape` that SQL has.

The outline of a command is looked up among those seen, so its text is written once.
"""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from optimizer.queries.engine.fingerprint import Shape, Verb
from optimizer.queries.engine.mongo_commands import OUTLINES
from optimizer.queries.engine.mongo_outline import ALIKE, ANY_OF, MORE, Tokens, Values
from optimizer.queries.engine.mongo_text import part, text_of

_MEMO_SIZE = 4096
_RANGES = frozenset({"$gt: ", "$gte: ", "$lt: ", "$lte: "})
_SEARCHES = frozenset({"$match: ", "$geoNear: ", "$search: ", "$vectorSearch: ", "$searchMeta: "})
_VOLATILE = frozenset({"$sample: ", "$rand: ", "$$NOW", "$$CLUSTER_TIME", "$where: "})
_OF_OTHERS = frozenset({"from: ", "coll: ", "into: "})
_VERBS = {
    "find": Verb.SELECT,
    "aggregate": Verb.SELECT,
    "count": Verb.SELECT,
    "distinct": Verb.SELECT,
    "insert": Verb.INSERT,
    "update": Verb.UPDATE,
    "findAndModify": Verb.UPDATE,
    "delete": Verb.DELETE,
    "bulkWrite": Verb.UPDATE,
}
# What a driver, an operator or a migration sends: never a program's query.
_CONTROL = frozenset(
    [
        "hello",
        "ismaster",
        "isMaster",
        "ping",
        "buildInfo",
        "buildinfo",
        "serverStatus",
        "hostInfo",
        "getParameter",
        "setParameter",
        "connectionStatus",
        "whatsmyuri",
        "listDatabases",
        "listCollections",
        "listIndexes",
        "collStats",
        "dbStats",
        "dataSize",
        "validate",
        "getMore",
        "killCursors",
        "startSession",
        "refreshSessions",
        "endSessions",
        "killSessions",
        "killAllSessions",
        "commitTransaction",
        "abortTransaction",
        "saslStart",
        "saslContinue",
        "authenticate",
        "getnonce",
        "logout",
        "create",
        "drop",
        "dropDatabase",
        "renameCollection",
        "collMod",
        "createIndexes",
        "dropIndexes",
        "reIndex",
        "createSearchIndexes",
        "dropSearchIndex",
        "updateSearchIndex",
        "explain",
        "profile",
        "currentOp",
        "killOp",
        "fsync",
        "compact",
        "createUser",
        "updateUser",
        "dropUser",
        "usersInfo",
        "configureFailPoint",
        "replSetGetStatus",
    ]
)
_memo: dict[tuple[str, ...], Shape] = {}


def mongo_shape(database: str, command_name: str, command: Mapping[str, Any]) -> Shape:
    """Return the shape of a command, as a driver's monitoring tells of it. Never raises."""
    return read_command(database, command_name, command)[0]


def read_command(
    database: str, command_name: str, command: Mapping[str, Any]
) -> tuple[Shape, Values]:
    """Return a command's shape and the values, which are no part of it. Never raises."""
    outline = OUTLINES.get(command_name)
    values: Values = []
    tokens: Tokens = [database, command_name]
    if outline is not None:
        try:
            collection = command[command_name]
            tokens.append(collection if type(collection) is str else "")
            outline(command, tokens, values)
        except Exception:  # nothing that a server would take
            tokens, values = [database, command_name, "", MORE], [command]
    key = tuple(tokens)
    shape = _memo.get(key)
    if shape is None:
        if len(_memo) >= _MEMO_SIZE:
            _memo.clear()
        shape = _memo[key] = _shape(key)
    return shape, values


def is_control(command_name: str) -> bool:
    """Say whether a command is the driver's or an operator's own, and not a program's query."""
    return command_name in _CONTROL


def _shape(key: tuple[str, ...]) -> Shape:
    """Return the shape of an outline that was not seen before."""
    database, command, *rest = key
    seen, text = set(rest), text_of(key)
    verb = _VERBS.get(command, Verb.CONTROL if command in _CONTROL else Verb.OTHER)
    if "\0tailable" in seen or "$changeStream: " in seen:
        verb = Verb.CONTROL
    if command == "findAndModify" and "\0remove" in seen:
        verb = Verb.DELETE
    if MORE in rest[1:2]:  # a command that could not be read
        verb = Verb.OTHER
    several = "\0several" in seen or ALIKE in seen or _asks_for_any_of(rest)
    whole = command == "aggregate" and not _searches(rest)
    windows = "\0limit" in seen or ("$limit: ", "?") in pairwise(rest)
    collection = rest[0] if rest else ""
    tables = [f"{database}.{collection}"] if collection else []
    tables += [f"{database}.{name}" for before, name in pairwise(rest) if before in _OF_OTHERS]
    if command == "bulkWrite":
        tables = rest[2:]
    return Shape(
        blake2b(repr(key).encode(errors="replace"), digest_size=8).hexdigest(),
        text,
        verb,
        tuple(dict.fromkeys(tables)),
        is_batch=several or whole,
        is_page=bool("\0skip" in seen or "$skip: " in seen or (windows and _RANGES & seen)),
        is_locking=command == "findAndModify" and not _is_by_id(key),
        is_volatile=bool(_VOLATILE & seen),
    )


def _asks_for_any_of(tokens: list[str]) -> bool:
    """Say whether several values are asked for at once, be it in a filter or in an expression."""
    for at, one in enumerate(tokens):
        if one == "$in: ":
            following = tokens[at + 1 : at + 4]
            if following[:1] == [ANY_OF] or (following[:1] == ["["] and following[2:] == [ANY_OF]):
                return True
    return False


def _searches(tokens: list[str]) -> bool:
    """Say whether a pipeline narrows what it reads."""
    return any(
        token in _SEARCHES and tokens[at + 1 : at + 3] != ["{", "}"]
        for at, token in enumerate(tokens)
    )


def _is_by_id(key: tuple[str, ...]) -> bool:
    """Say whether the filter names the document, so that no other could be taken."""
    return ("_id: ", "?") in pairwise(part(key, "filter"))

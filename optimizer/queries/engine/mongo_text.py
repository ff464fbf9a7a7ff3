"""The text of a command's outline, as people write it in a shell."""

from optimizer.queries.engine.mongo_outline import ANY_OF, MORE, joined

MAX_TEXT_LENGTH = 2000  # characters

Key = tuple[str, ...]


def part(key: Key, name: str) -> Key:
    """Return the tokens of a part of an outline, empty where it has none."""
    mark = f"\0{name}"
    if mark not in key:
        return ()
    start = key.index(mark) + 1
    end = next((at for at in range(start, len(key)) if key[at][:1] == "\0"), len(key))
    return key[start:end]


def text_of(key: Key) -> str:
    """Return an outline as text, `db.books.find({author: ?}).sort({year: 1})`."""
    write = _TEXTS.get(key[1])
    if write is None or len(key) < 3:
        return f"{key[1]}()"[:MAX_TEXT_LENGTH]
    text = f"db.{key[2]}.{write(key)}" if key[2] else f"client.{write(key)}"
    return text if len(text) <= MAX_TEXT_LENGTH else text[: MAX_TEXT_LENGTH - 1] + MORE


def _filter(key: Key) -> str:
    return f"{{{joined(part(key, 'filter'))}}}"


def _has(key: Key, name: str) -> bool:
    return f"\0{name}" in key


def _find(key: Key) -> str:
    method = "findOne" if _has(key, "one") else "find"
    projection = f", {joined(part(key, 'projection'))}" if _has(key, "projection") else ""
    return f"{method}({_filter(key)}{projection}){_window(key)}"


def _window(key: Key) -> str:
    order = f".sort({joined(part(key, 'sort'))})" if _has(key, "sort") else ""
    skip = ".skip(?)" if _has(key, "skip") else ""
    return order + skip + (".limit(?)" if _has(key, "limit") else "")


def _aggregate(key: Key) -> str:
    stages = joined(part(key, "pipeline"))
    return f"countDocuments({_counted(key)})" if is_count(key) else f"aggregate([{stages}])"


def is_count(key: Key) -> bool:
    """Say whether an aggregation is what drivers make of `count_documents`."""
    stages = part(key, "pipeline")
    return (
        stages[:2] == ("{", "$match: ")
        and stages[-len(_COUNTING) :] == _COUNTING
        and stages.count("$group: ") == 1
        and not {"$limit: ", "$skip: "} & set(stages)
    )


_COUNTING = ("{", "$group: ", "{", "_id: ", "?", "n: ", "{", "$sum: ", "?", "}", "}", "}")


def _counted(key: Key) -> str:
    return joined(part(key, "pipeline")[2 : -len(_COUNTING) - 1])


def _count(key: Key) -> str:
    if key[1] == "distinct":
        return f"distinct({joined(part(key, 'key'))}, {_filter(key)})"
    if not _has(key, "filter"):
        return "estimatedDocumentCount()"
    return f"count({_filter(key)}){_window(key)}"


def _insert(key: Key) -> str:
    return f"insertMany({ANY_OF})" if _has(key, "several") else "insertOne(?)"


def _update(key: Key) -> str:
    if _has(key, "replacement"):
        method = "replaceOne"
    else:
        method = "updateMany" if _has(key, "many") else "updateOne"
    return _batch(key, f"{method}({_filter(key)}, {_change(key)})")


def _delete(key: Key) -> str:
    method = "deleteMany" if _has(key, "many") else "deleteOne"
    return _batch(key, f"{method}({_filter(key)})")


def _batch(key: Key, one: str) -> str:
    return f"bulkWrite([{one}+])" if _has(key, "several") else one


def _change(key: Key) -> str:
    if _has(key, "replacement"):
        change = "?"
    elif _has(key, "update"):
        change = f"{{{joined(part(key, 'update'))}}}"
    else:
        change = f"[{joined(part(key, 'pipeline'))}]"
    return f"{change}, {{upsert: true}}" if _has(key, "upsert") else change


def _find_and_modify(key: Key) -> str:
    if _has(key, "remove"):
        return f"findOneAndDelete({_filter(key)}){_window(key)}"
    method = "findOneAndReplace" if _has(key, "replacement") else "findOneAndUpdate"
    return f"{method}({_filter(key)}, {_change(key)}){_window(key)}"


def _bulk_write(key: Key) -> str:
    return f"bulkWrite([{'?+' if _has(key, 'several') else '?'}])"


_TEXTS = {
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

"""Write many documents into a MongoDB collection in few round trips, with pymongo's bulk_write.

MongoDB has no transaction around a bulk write here: what came before an error is written. With
`ordered` the first refused document ends the call, else all others are tried. Two calls that upsert
one new key at the same time may both insert it, unless a unique index refuses the second.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from optimizer.batches.engine import bulk_sql_order
from optimizer.batches.services.bulk import Written

Document = Mapping[str, Any]
Operation = InsertOne | UpdateOne | DeleteOne
DUPLICATE_KEY = 11000


class MongoRejected(Exception):
    """Some documents were refused: `refused` has each one's position in the call, and why.

    `written` says what was done all the same.
    """

    def __init__(self, refused: Mapping[int, str], written: Written) -> None:
        self.refused, self.written = dict(refused), written
        first = next(iter(self.refused))
        super().__init__(f"{len(refused)} refused, document {first}: {self.refused[first]}")


def mongo_insert(
    collection: Collection[Any],
    documents: Iterable[Document],
    *,
    ordered: bool = False,
    chunk_size: int = 1000,
) -> Written:
    """Insert documents; nothing is folded. Raises MongoRejected for those that are refused."""
    given = list(documents)
    operations: list[Operation] = [InsertOne(dict(document)) for document in given]
    return _send(collection, operations, list(range(len(given))), len(given), ordered, chunk_size)


def mongo_upsert(
    collection: Collection[Any],
    documents: Iterable[Document],
    unique_fields: Sequence[str],
    update_fields: Sequence[str] | None = None,
    *,
    sequence_field: str | None = None,
    ordered: bool = False,
    chunk_size: int = 1000,
) -> Written:
    """Insert documents, and update those whose `unique_fields` are stored already.

    `update_fields` are a document's own but the key, unless told; the others are set where it is
    inserted. With `sequence_field` only a document whose stored sequence is lower, or missing, is
    updated; that needs a unique index on the key, which refuses to insert the stale one again.

    Raises ValueError for a document without one of these fields, and MongoRejected.
    """
    fields = (unique_fields, update_fields, sequence_field)
    return _update(collection, documents, *fields, ordered, chunk_size, upsert=True)


def mongo_update(
    collection: Collection[Any],
    documents: Iterable[Document],
    unique_fields: Sequence[str],
    update_fields: Sequence[str] | None = None,
    *,
    sequence_field: str | None = None,
    ordered: bool = False,
    chunk_size: int = 1000,
) -> Written:
    """Update the documents found by `unique_fields`: of several that match, one.

    The rest is as with `mongo_upsert`.
    """
    fields = (unique_fields, update_fields, sequence_field)
    return _update(collection, documents, *fields, ordered, chunk_size, upsert=False)


def mongo_delete(
    collection: Collection[Any],
    documents: Iterable[Document],
    unique_fields: Sequence[str],
    *,
    ordered: bool = False,
    chunk_size: int = 1000,
) -> Written:
    """Delete the documents found by `unique_fields`: of several that match, one.

    Raises ValueError for a document without one of these fields, and MongoRejected.
    """
    given = list(documents)
    if not unique_fields:
        raise ValueError("unique_fields: name the fields that find a document.")
    keys = _columns(given, unique_fields)
    order = bulk_sql_order.fold(keys, nulls_distinct=False)
    operations: list[Operation] = [
        DeleteOne({name: given[number][name] for name in unique_fields}) for number in order
    ]
    return _send(collection, operations, order, len(given), ordered, chunk_size)


def _update(
    collection: Collection[Any],
    documents: Iterable[Document],
    unique_fields: Sequence[str],
    update_fields: Sequence[str] | None,
    sequence_field: str | None,
    ordered: bool,
    chunk_size: int,
    *,
    upsert: bool,
) -> Written:
    given = list(documents)
    if not unique_fields:
        raise ValueError("unique_fields: name the fields that find a document.")
    keys = _columns(given, unique_fields)
    sequences = _columns(given, [sequence_field])[0] if sequence_field else None
    if update_fields is not None:
        _columns(given, update_fields)
    order = bulk_sql_order.fold(keys, sequences, nulls_distinct=False)
    operations: list[Operation] = []
    for number in order:
        document = given[number]
        wanted: dict[str, Any] = {name: document[name] for name in unique_fields}
        names = [name for name in document if name not in wanted and name != "_id"]
        changed = names if update_fields is None else [*update_fields]
        if sequence_field:
            if sequence_field not in changed:
                changed.append(sequence_field)  # else the guard would never move
            new = document[sequence_field]
            wanted["$or"] = [{sequence_field: {"$lt": new}}, {sequence_field: None}]
            if new is None:  # older than any: it may only come where nothing is
                wanted["$or"] = [{"_id": {"$exists": False}}]
        change: dict[str, Any] = {}
        if changed:
            change["$set"] = {name: document[name] for name in changed}
        if upsert:
            fresh = {name: document[name] for name in document if name not in changed}
            fresh = {name: value for name, value in fresh.items() if name not in unique_fields}
            if fresh or not change:
                change["$setOnInsert"] = fresh or {n: document[n] for n in unique_fields}
        operations.append(UpdateOne(wanted, change, upsert=upsert))
    guarded = sequence_field is not None and upsert
    return _send(collection, operations, order, len(given), ordered, chunk_size, guarded=guarded)


def _columns(documents: Sequence[Document], names: Sequence[str]) -> list[list[Any]]:
    for number, document in enumerate(documents):
        for name in names:
            if name not in document:
                raise ValueError(f"document {number} has no {name!r}.")
    return [[document[name] for document in documents] for name in names]


def _send(
    collection: Collection[Any],
    operations: Sequence[Operation],
    places: Sequence[int],
    given: int,
    ordered: bool,
    chunk_size: int,
    *,
    guarded: bool = False,
) -> Written:
    """Send in chunks; `guarded` upserts that a unique index refused were stale, and no error."""
    if chunk_size < 1:
        raise ValueError("chunk_size: give 1 or more.")
    refused: dict[int, str] = {}
    changed = trips = start = 0
    result: Mapping[str, Any]
    while start < len(operations):
        chunk = operations[start : start + chunk_size]
        trips += 1
        following = start + len(chunk)
        try:
            result = collection.bulk_write(chunk, ordered=ordered).bulk_api_result
        except BulkWriteError as error:
            result = error.details or {}
            for one in result["writeErrors"]:
                place = start + one["index"]
                if not (guarded and one.get("code") == DUPLICATE_KEY):
                    refused[places[place]] = one["errmsg"]
                elif ordered:  # a stale one ends nothing
                    following = place + 1
        changed += _changes(result)
        start = following
        if refused and ordered:
            break
    written = Written(len(operations), given - len(operations), changed, trips)
    if refused:
        raise MongoRejected(refused, written)
    return written


def _changes(result: Mapping[str, Any]) -> int:
    names = ("nInserted", "nUpserted", "nModified", "nRemoved")
    return sum(int(result.get(name, 0)) for name in names)

"""Which index a MongoDB command lacks, and which indexes nobody uses.

A proposal is by rule (equality, sort, range) and by what explain counts: MongoDB has no way to try
an index without making it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database
from pymongo.errors import PyMongoError

from optimizer.queries.engine.candidates import FEW, LEAST_ROWS
from optimizer.queries.engine.mongo_plans import (
    Keys,
    MongoPlan,
    Query,
    equalities_of,
    keys_for,
    query_of,
    read_explain,
    serves,
)
from optimizer.queries.engine.trials import MANY_WRITES

MAX_TIME_MS = 5000
LEAST_DAYS_UNUSED = 7

# What belongs to the session that sent the command, or takes nothing by being explained.
_NOT_EXPLAINED = frozenset(
    (
        "lsid", "$db", "$clusterTime", "$readPreference", "txnNumber", "startTransaction",
        "autocommit", "readConcern", "writeConcern", "maxTimeMS", "ordered", "comment",
        "apiVersion", "apiStrict", "apiDeprecationErrors",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MongoIndexAdvice:
    """An index worth having. `statement` is a line of Python; `drops` are made superfluous by it.

    `examined` and `returned` are documents, None where the command was not run to count them.
    """

    collection: str
    keys: Keys
    statement: str
    reason: str
    plan_before: str
    examined: int | None
    returned: int | None
    drops: tuple[str, ...]
    verified: str = ""


def advise_mongo_index(
    database: "Database[Any]",
    command: Mapping[str, Any],
    *,
    write_share: float = 0.0,
    may_run: bool = True,
) -> MongoIndexAdvice | None:
    """Return the index that a command lacks; None where none is worth having, or the server does
    not explain.

    `may_run` lets the server run a command that only reads, for at most MAX_TIME_MS, to count the
    documents it examines. A write is explained and never run.
    """
    query = query_of(command)
    keys = keys_for(query) if query is not None else ()
    if query is None or not keys or write_share > MANY_WRITES:
        return None
    try:
        documents = database[query.collection].estimated_document_count(maxTimeMS=MAX_TIME_MS)
        if documents < LEAST_ROWS:
            return None
        plan = _explain(database, command, counts=may_run and not query.is_write)
        there = database[query.collection].index_information()
    except (PyMongoError, ValueError):
        return None
    if not _is_helped(plan, query, keys) or _is_covered(there, keys, equalities_of(query)):
        return None
    return MongoIndexAdvice(
        query.collection,
        keys,
        f"database[{query.collection!r}].create_index({list(keys)!r})".replace("'", '"'),
        _reason(query.collection, documents, plan, keys),
        plan.text,
        plan.examined,
        plan.returned,
        _redundant(there, keys),
    )


def unused_indexes(
    database: "Database[Any]", collection: str, least_days: int = LEAST_DAYS_UNUSED
) -> tuple[str, ...]:
    """Return the indexes that no query has used since the server counts, if that is long enough.

    A unique index or one that expires documents works without any query, so it is never named.
    Returns () where the server does not count.
    """
    since = datetime.now(UTC) - timedelta(days=least_days)
    try:
        there = database[collection].index_information()
        counted = list(database[collection].aggregate([{"$indexStats": {}}]))
    except PyMongoError:
        return ()
    return idle_indexes(counted, there, since)


def idle_indexes(
    counted: list[Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]], since: datetime
) -> tuple[str, ...]:
    """Return the indexes that every server has counted since then, and none has seen used."""
    idle: dict[str, bool] = {}
    for one in counted:
        name, accesses = str(one.get("name")), one.get("accesses") or {}
        start = accesses.get("since")
        if isinstance(start, datetime) and start.tzinfo is None:
            start = start.replace(tzinfo=UTC)
        is_idle = accesses.get("ops") == 0 and isinstance(start, datetime) and start <= since
        idle[name] = is_idle and idle.get(name, True)

    def works_anyhow(name: str) -> bool:
        index = there.get(name, {})
        return name == "_id_" or bool(index.get("unique")) or "expireAfterSeconds" in index

    return tuple(name for name, is_idle in idle.items() if is_idle and not works_anyhow(name))


def _explain(database: "Database[Any]", command: Mapping[str, Any], *, counts: bool) -> MongoPlan:
    plain = {name: value for name, value in command.items() if name not in _NOT_EXPLAINED}
    return read_explain(
        database.command(
            {
                "explain": plain,
                "verbosity": "executionStats" if counts else "queryPlanner",
                "maxTimeMS": MAX_TIME_MS,
            }
        )
    )


def _is_helped(plan: MongoPlan, query: Query, keys: Keys) -> bool:
    if plan.is_sorted and any(field in dict(keys) for field, _ in query.sort):
        return plan.examined is None or plan.examined >= LEAST_ROWS
    if plan.examined is None or plan.returned is None:
        return plan.is_scan
    # What is found by an index and then thrown away counts as much as what a scan reads.
    return plan.examined >= LEAST_ROWS and plan.returned <= FEW * plan.examined


def _is_covered(there: Mapping[str, Mapping[str, Any]], keys: Keys, equalities: int) -> bool:
    return any(
        serves(_keys_of(index), keys, min(equalities, len(keys)))
        for index in there.values()
        if _is_plain(index)
    )


def _redundant(there: Mapping[str, Mapping[str, Any]], keys: Keys) -> tuple[str, ...]:
    return tuple(
        name
        for name, index in there.items()
        if _is_plain(index)
        and name != "_id_"
        and not index.get("unique")
        and "expireAfterSeconds" not in index
        and len(_keys_of(index)) < len(keys)
        and _keys_of(index) == keys[: len(_keys_of(index))]
    )


def _is_plain(index: Mapping[str, Any]) -> bool:
    return not any(
        one in index for one in ("partialFilterExpression", "sparse", "collation", "hidden")
    )


def _keys_of(index: Mapping[str, Any]) -> Keys:
    return tuple((str(field), way) for field, way in index.get("key", ()))


def _reason(collection: str, documents: int, plan: MongoPlan, keys: Keys) -> str:
    names = " and ".join(field for field, _ in keys)
    how = "reads the whole collection" if plan.is_scan else "reads more than it needs"
    if plan.is_sorted:
        how += " and sorts"
    counted = ""
    if plan.examined is not None and plan.returned is not None:
        counted = f": {plan.examined:,} documents for {plan.returned:,} returned"
    return (
        f"{collection} has {documents:,} documents, and the command {how}{counted}; an index by "
        f"{names} finds them directly; not verified."
    )

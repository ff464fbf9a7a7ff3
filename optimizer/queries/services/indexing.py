"""Which costly statements are looked at for an index, and what comes of it. For a worker."""

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.models import Sum
from django.utils import timezone

from optimizer.queries.engine.mongo_sample import read_sample
from optimizer.queries.engine.news import digest_of
from optimizer.queries.engine.settings import Settings
from optimizer.queries.models import IndexAdvice, Statement, Statistic, TableWrites
from optimizer.queries.models.findings import State
from optimizer.queries.services.commands import ALIAS as MONGODB
from optimizer.queries.services.indexes import IndexAdvice as Found
from optimizer.queries.services.indexes import advise_index

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 20
_DAY = timedelta(days=1)
_PLANNED = ("SELECT", "UPDATE", "DELETE")


def look(live: Settings, most: int = MOST_AT_ONCE) -> int:
    """Look at the statements that cost most and were not looked at for a day; return how many."""
    if not live.index_advice:
        return 0
    now = timezone.now()
    costs = dict(
        Statistic.objects.filter(hour__gte=now - _DAY)
        .values("fingerprint")
        .annotate(sum_seconds=Sum("seconds"))
        .filter(sum_seconds__gte=live.index_least_seconds)
        .values_list("fingerprint", "sum_seconds")
    )
    statements = [
        one
        for one in Statement.objects.filter(
            fingerprint__in=list(costs), verb__in=_PLANNED, alias__in=[*connections, MONGODB]
        )
        if one.explained_at is None or one.explained_at < now - _DAY
    ]
    statements.sort(key=lambda one: -costs[one.fingerprint])
    for statement in statements[:most]:
        _look_at(statement, costs[statement.fingerprint])
    return len(statements[:most])


def _look_at(statement: Statement, seconds: float) -> None:
    note, found = "", None
    try:
        found = _advice(statement, _write_share(statement.tables))
        note = "" if found is not None else "no index would help, or there is one"
    except DatabaseError as error:
        note = f"not explained: {error}"[:300]
    except Exception as error:  # a statement that is read wrongly must not keep the others waiting
        logger.exception("A statement cannot be looked at for an index")
        note = f"not explained: {type(error).__name__}: {error}"[:300]
    gone = IndexAdvice.objects.filter(fingerprint=statement.fingerprint, state=State.OPEN)
    if found is not None:
        gone = gone.exclude(digest=_store(statement, found, seconds))
    gone.delete()
    Statement.objects.filter(pk=statement.pk).update(
        explained_at=timezone.now(), explain_note=note.replace("\0", "")
    )


def _advice(statement: Statement, write_share: float) -> Found | None:
    if statement.alias != MONGODB:
        return advise_index(statement.alias, statement.sql, write_share=write_share)
    return _mongo_advice(statement.sql, write_share)


def _mongo_advice(sample: str, write_share: float) -> Found | None:
    """Ask the server of Django's alias for MongoDB, which is the one that the bot uses, too."""
    if not settings.MONGODB_URI or not sample.startswith("{"):
        return None
    from optimizer.queries.services.mongo_indexes import advise_mongo_index, unused_indexes

    name, command = read_sample(sample)
    connection: Any = connections["mongo"]
    connection.ensure_connection()
    database = connection.connection[name]
    advice = advise_mongo_index(database, command, write_share=write_share, may_run=False)
    if advice is None:
        return None
    unused = ", ".join(unused_indexes(database, advice.collection))
    return Found(
        table=f"{name}.{advice.collection}",
        columns=tuple(f"-{field}" if way == -1 else field for field, way in advice.keys),
        statement=advice.statement,
        meta_line="",
        model_label="",
        verified="",
        cost_before=None,
        cost_after=None,
        plan_before=advice.plan_before,
        plan_after="",
        reason=advice.reason + (f" Nobody uses {unused}." if unused else ""),
        drops=advice.drops,
    )


def _store(statement: Statement, found: Found, seconds: float) -> str:
    """Store advice, and leave the state that people gave it; return its digest."""
    digest = digest_of(statement.alias, found.table, *found.columns)
    row = IndexAdvice.objects.filter(digest=digest).first() or IndexAdvice(digest=digest)
    row.fingerprint, row.alias = statement.fingerprint, statement.alias
    row.table, row.columns = found.table, list(found.columns)
    for name in (
        "statement", "meta_line", "model_label", "verified", "reason", "cost_before",
        "cost_after", "plan_before", "plan_after",
    ):  # fmt: skip
        setattr(row, name, getattr(found, name))
    row.drops, row.seconds_per_day = list(found.drops), seconds
    row.checked_at = timezone.now()
    if row.state == State.FIXED:  # it was made, and is missed again
        row.state = State.OPEN
    row.save()
    return digest


def _write_share(tables: list[str]) -> float:
    """Return the share of writes among the statements on a query's tables, in a day."""
    since = timezone.now() - _DAY
    fingerprints = [
        one.fingerprint
        for one in Statement.objects.filter(verb="SELECT").only("fingerprint", "tables")
        if set(one.tables) & set(tables)
    ]
    reads = Statistic.objects.filter(hour__gte=since, fingerprint__in=fingerprints).aggregate(
        calls=Sum("calls")
    )
    writes = TableWrites.objects.filter(hour__gte=since, table__in=tables).aggregate(
        sum_calls=Sum("calls")
    )
    written = writes["sum_calls"] or 0
    return float(written / max(1, written + (reads["calls"] or 0)))

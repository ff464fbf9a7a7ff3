"""What the query optimizer knows, for its doors."""

from optimizer.queries.selectors.activity import (
    Activity,
    OfKind,
    Reader,
    activity,
    open_by_kind,
    reader,
    waiting,
    worst_findings,
)
from optimizer.queries.selectors.details import Details, Spread, details_of
from optimizer.queries.selectors.overview import status, unused_patterns
from optimizer.queries.selectors.recommendations import CacheAdvice, cache_advice, index_advice
from optimizer.queries.selectors.statistics import Cost, Hour, hours_of, top_queries

__all__ = [
    "Activity",
    "CacheAdvice",
    "Cost",
    "Details",
    "Hour",
    "OfKind",
    "Reader",
    "Spread",
    "activity",
    "cache_advice",
    "details_of",
    "hours_of",
    "index_advice",
    "open_by_kind",
    "reader",
    "status",
    "top_queries",
    "unused_patterns",
    "waiting",
    "worst_findings",
]

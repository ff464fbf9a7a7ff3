"""What the query optimizer's API takes and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema

from optimizer.queries.services.reports import MAX_CALLS, MAX_QUERIES

State = Literal["open", "ignored", "fixed"]
Kind = Literal["n_plus_one", "write_n_plus_one", "duplicate", "unused_eager_load", "slow", "review"]
Order = Literal["seconds", "calls", "max_seconds", "n_plus_one"]

MAX_SQL_LENGTH = 20_000
MAX_CALLS_OF_ONE = 10_000
MAX_SECONDS = 86_400.0
MAX_ROWS = 1_000_000_000
MAX_HOURS = 90 * 24
MAX_ID = 2**63 - 1
MAX_OFFSET = 1_000_000


class Strict(Schema):
    """A body without unknown fields or guessed types."""

    model_config = {"extra": "forbid", "strict": True}


class StateIn(Strict):
    """What people have made of a finding."""

    state: State


class QueryIn(Strict):
    """A query, or `count` calls of it with the same parameters; `seconds` is what one took.

    `parameters` is any JSON: it is hashed at once and never stored; `parameters_hash` is a digest
    of your own instead. Without both, queries with placeholders count as asked with different ones.
    """

    sql: str = Field(min_length=1, max_length=MAX_SQL_LENGTH, examples=["SELECT … WHERE id = %s"])
    seconds: float = Field(ge=0, le=MAX_SECONDS)
    rows: int = Field(default=0, ge=0, le=MAX_ROWS)
    location: str = Field(default="", max_length=300, examples=["bot/shop.py:12"])
    count: int = Field(default=1, ge=1, le=MAX_CALLS_OF_ONE)
    parameters: Any = None
    parameters_hash: str | None = Field(default=None, min_length=1, max_length=64)


class ReportIn(Strict):
    """The queries of one unit of work: a command, an event, a request."""

    unit: str = Field(min_length=1, max_length=200, examples=["/shop"])
    queries: Annotated[
        list[QueryIn],
        Field(min_length=1, max_length=MAX_QUERIES, description=f"Up to {MAX_CALLS} calls in all."),
    ]


class HarmOut(Schema):
    """A query that does harm, and how to mend it."""

    kind: Kind
    location: str
    queryset_location: str
    suggestion: str
    count: int
    seconds: float
    sql: str
    fingerprint: str


class ReportOut(Schema):
    """What was found, the costliest first; nothing is looked at where `watched` is false."""

    watched: bool
    queries: int
    findings: list[HarmOut]


class FindingOut(Schema):
    """A finding: in how many units it was, its queries in all of them, and the time they lost.

    `count` is how many there were in one unit, at most.
    """

    id: int
    kind: Kind
    state: State
    location: str
    queryset_location: str
    suggestion: str
    fingerprint: str
    sql: str
    stack: list[str]
    units: list[str]
    count: int
    hits: int
    queries: int
    lost_seconds: float
    first_seen_at: datetime
    last_seen_at: datetime
    fixed_at: datetime | None
    reopened: int


class FindingsOut(Schema):
    """A page of findings, and how many there are."""

    total: int
    findings: list[FindingOut]


class CostOut(Schema):
    """What a query came to, over all places; the first place and unit are the costliest."""

    fingerprint: str
    location: str
    unit: str
    text: str
    calls: int
    seconds: float
    mean_seconds: float
    max_seconds: float
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    rows: int
    repeats: int
    n_plus_one: int
    distinct: int
    places: int
    share: float


class CacheAdviceOut(Schema):
    """Whether to cache a query, and for how long; numbers are 0 where it is not worth it."""

    fingerprint: str
    verdict: Literal["cache", "memoise", "leave"]
    reason: str
    ttl_seconds: float
    hit_ratio: float
    gain_ms_per_second: float
    cache_bytes: float
    cost: CostOut


class IndexAdviceOut(Schema):
    """An index that is worth making; `verified` says how that is known, "" is not."""

    id: int
    fingerprint: str
    alias: str
    table: str
    columns: list[str]
    state: State
    statement: str
    meta_line: str
    model_label: str
    verified: str
    reason: str
    cost_before: float | None
    cost_after: float | None
    drops: list[str]
    seconds_per_day: float
    checked_at: datetime


class RecommendationsOut(Schema):
    """What to cache, and what to index."""

    cache: list[CacheAdviceOut]
    indexes: list[IndexAdviceOut]

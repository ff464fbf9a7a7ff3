"""The query optimizer's part of the client: the calls as they go over the wire, and who makes them.

Calls raise as the limiter's do: Unavailable when no answer came, ApiError when the server refused;
its `problem.type` is unknown-finding, invalid-fields …
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from optimizer.client.cache import AsyncSend, Send
from optimizer.client.protocol import ApiError, Call

T = TypeVar("T")
State = Literal["open", "ignored", "fixed"]
Kind = Literal["n_plus_one", "write_n_plus_one", "duplicate", "unused_eager_load", "slow", "review"]
Order = Literal["seconds", "calls", "max_seconds", "n_plus_one"]


class Query(msgspec.Struct, frozen=True, omit_defaults=True):
    """A query that a program ran, or `count` of them with the same parameters.

    `seconds` is what one took. `parameters`, any JSON, is hashed by the server and never stored;
    `parameters_hash` is a digest of your own instead. Without both, queries with placeholders count
    as asked with different parameters. Values in the text of `sql` are kept with it.
    """

    sql: str
    seconds: float
    location: str = ""  # path:line
    rows: int = 0
    count: int = 1
    parameters: Any = None
    parameters_hash: str | UnsetType = UNSET


class Harm(msgspec.Struct, frozen=True):
    """What a report was found to do wrong: `count` queries of `seconds` in all."""

    kind: Kind
    location: str
    queryset_location: str
    suggestion: str
    count: int
    seconds: float
    sql: str
    fingerprint: str


class Report(msgspec.Struct, frozen=True):
    """The answer to a report; nothing is looked at where `watched` is false."""

    watched: bool
    queries: int
    findings: tuple[Harm, ...]


class Finding(msgspec.Struct, frozen=True):
    """A finding: `hits` units had it, at most `count` times each, and it lost `lost_seconds`."""

    id: int
    kind: Kind
    state: State
    location: str
    queryset_location: str
    suggestion: str
    fingerprint: str
    sql: str
    stack: tuple[str, ...]
    units: tuple[str, ...]
    count: int
    hits: int
    queries: int
    lost_seconds: float
    first_seen_at: datetime
    last_seen_at: datetime
    fixed_at: datetime | None
    reopened: int


class Findings(msgspec.Struct, frozen=True):
    """A page of findings; `total` is how many there are of their sort."""

    total: int
    findings: tuple[Finding, ...]


class Cost(msgspec.Struct, frozen=True):
    """What a query came to, over all places; the place and unit named are the costliest."""

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


class CacheAdvice(msgspec.Struct, frozen=True):
    """Whether to cache a query, and for how long; numbers are 0 where it is not worth it."""

    fingerprint: str
    verdict: Literal["cache", "memoise", "leave"]
    reason: str
    ttl_seconds: float
    hit_ratio: float
    gain_ms_per_second: float
    cache_bytes: float
    cost: Cost


class IndexAdvice(msgspec.Struct, frozen=True):
    """An index that is worth making; `verified` says how that is known, "" is not."""

    id: int
    fingerprint: str
    alias: str
    table: str
    columns: tuple[str, ...]
    state: State
    statement: str
    meta_line: str
    model_label: str
    verified: str
    reason: str
    cost_before: float | None
    cost_after: float | None
    drops: tuple[str, ...]
    seconds_per_day: float
    checked_at: datetime


class Recommendations(msgspec.Struct, frozen=True):
    """What to cache, and what to index."""

    cache: tuple[CacheAdvice, ...]
    indexes: tuple[IndexAdvice, ...]


_BASE = "/internal/v1/queries"
_encode = msgspec.json.Encoder().encode


def _call(answer: type[T], path: str, /, document: Any = None, **asked: Any) -> Call[T]:
    decode = msgspec.json.Decoder(answer).decode

    def read(status: int, body: bytes) -> T:
        if status != 200:
            raise msgspec.ValidationError
        return decode(body)

    given = {name: value for name, value in asked.items() if value is not None}
    query = f"?{urlencode(given)}" if given else ""
    method, sent = ("GET", b"") if document is None else ("POST", _encode(document))
    return Call(method, f"{_BASE}/{path}{query}", sent, read, ApiError)


def listed(state: str | None, kind: str | None, limit: int, offset: int) -> Call[Findings]:
    return _call(Findings, "findings", state=state, kind=kind, limit=limit, offset=offset)


def one(finding: int) -> Call[Finding]:
    return _call(Finding, f"findings/{finding}")


def set_state(finding: int, state: str) -> Call[Finding]:
    return _call(Finding, f"findings/{finding}/state", {"state": state})


def stats(hours: int, order: str, limit: int) -> Call[tuple[Cost, ...]]:
    return _call(tuple[Cost, ...], "stats", hours=hours, order=order, limit=limit)


def recommendations(hours: int) -> Call[Recommendations]:
    return _call(Recommendations, "recommendations", hours=hours)


def report(unit: str, queries: Iterable[Query]) -> Call[Report]:
    return _call(Report, "report", {"unit": unit, "queries": list(queries)})


class Queries:
    """The query optimizer, from threads: `client.queries`."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def findings(
        self,
        *,
        state: State | None = None,
        kind: Kind | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> Findings:
        """Return findings, up to 100 at once, those that lose most time first."""
        return self._send(listed(state, kind, limit, offset))

    def finding(self, finding: int) -> Finding:
        """Return one finding; ApiError with unknown-finding where there is none."""
        return self._send(one(finding))

    def set_state(self, finding: int, state: State) -> Finding:
        """Open, ignore or declare fixed; raises as `finding` does."""
        return self._send(set_state(finding, state))

    def stats(
        self, *, hours: int = 24, order: Order = "seconds", limit: int = 20
    ) -> tuple[Cost, ...]:
        """Return what the costliest queries of the last hours came to."""
        return self._send(stats(hours, order, limit))

    def recommendations(self, *, hours: int = 24) -> Recommendations:
        """Return what to cache, by the last hours, and what to index."""
        return self._send(recommendations(hours))

    def report(self, unit: str, queries: Iterable[Query]) -> Report:
        """Tell the up to 1000 queries of a unit of work, and return what is wrong with them."""
        return self._send(report(unit, queries))


class AsyncQueries:
    """The query optimizer, from asyncio; the same calls as `Queries` has."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def findings(
        self,
        *,
        state: State | None = None,
        kind: Kind | None = None,
        limit: int = 20,
        offset: int = 0,
    ) -> Findings:
        """Return findings, up to 100 at once, those that lose most time first."""
        return await self._send(listed(state, kind, limit, offset))

    async def finding(self, finding: int) -> Finding:
        """Return one finding; ApiError with unknown-finding where there is none."""
        return await self._send(one(finding))

    async def set_state(self, finding: int, state: State) -> Finding:
        """Open, ignore or declare fixed; raises as `finding` does."""
        return await self._send(set_state(finding, state))

    async def stats(
        self, *, hours: int = 24, order: Order = "seconds", limit: int = 20
    ) -> tuple[Cost, ...]:
        """Return what the costliest queries of the last hours came to."""
        return await self._send(stats(hours, order, limit))

    async def recommendations(self, *, hours: int = 24) -> Recommendations:
        """Return what to cache, by the last hours, and what to index."""
        return await self._send(recommendations(hours))

    async def report(self, unit: str, queries: Iterable[Query]) -> Report:
        """Tell the up to 1000 queries of a unit of work, and return what is wrong with them."""
        return await self._send(report(unit, queries))

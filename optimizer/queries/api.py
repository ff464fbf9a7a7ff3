"""The query optimizer over HTTP: findings, statistics, advice, and what bots tell of theirs."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router

from optimizer.control.problems import Problem
from optimizer.queries import selectors
from optimizer.queries.live import queries
from optimizer.queries.models import Finding
from optimizer.queries.schemas import (
    MAX_HOURS,
    MAX_ID,
    MAX_OFFSET,
    CostOut,
    FindingOut,
    FindingsOut,
    Kind,
    Order,
    QueryIn,
    RecommendationsOut,
    ReportIn,
    ReportOut,
    State,
    StateIn,
)
from optimizer.queries.selectors import findings
from optimizer.queries.services import reports, states

router = Router()

FindingId = Annotated[int, Path(ge=1, le=MAX_ID)]
Hours = Annotated[int, Query(ge=1, le=MAX_HOURS, description="Up to the present one.")]
Limit = Annotated[int, Query(ge=1, le=findings.MOST)]


@router.get("/findings", response=FindingsOut, summary="What to mend")
def list_findings(
    request: HttpRequest,
    state: State | None = None,
    kind: Kind | None = None,
    limit: Limit = 20,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Any:
    """List findings, those that lose most time first; of all states and kinds unless one is given.

    They are there some seconds after the queries, when a worker has stored them.
    """
    return findings.listed(state, kind, limit, offset)


@router.get("/findings/{finding_id}", response=FindingOut, summary="One finding")
def get_finding(request: HttpRequest, finding_id: FindingId) -> Any:
    """Answer a finding; 404 where there is none."""
    return _finding(finding_id)


@router.post("/findings/{finding_id}/state", response=FindingOut, summary="Say what became of it")
def set_state(request: HttpRequest, finding_id: FindingId, payload: StateIn) -> Any:
    """Open, ignore or declare fixed; what was fixed and comes back is open again."""
    states.set_state(Finding.objects.filter(pk=finding_id), payload.state)
    return _finding(finding_id)


@router.get("/stats", response=list[CostOut], summary="What queries cost")
def stats(
    request: HttpRequest, hours: Hours = 24, order: Order = "seconds", limit: Limit = 20
) -> Any:
    """List the queries that took most in the last hours, all places of each together."""
    return selectors.top_queries(hours, limit, order=order)


@router.get("/recommendations", response=RecommendationsOut, summary="What to cache and index")
def recommendations(request: HttpRequest, hours: Hours = 24) -> Any:
    """Advise on the queries that took most in the last hours, and on indexes."""
    cache = [
        {
            "fingerprint": one.advice.fingerprint,
            "verdict": one.advice.verdict.value,
            "reason": one.advice.reason,
            "ttl_seconds": one.advice.ttl_seconds,
            "hit_ratio": one.advice.hit_ratio,
            "gain_ms_per_second": one.advice.gain_ms_per_second,
            "cache_bytes": one.advice.cache_bytes,
            "cost": one.cost,
        }
        for one in selectors.cache_advice(hours)
    ]
    return {"cache": cache, "indexes": selectors.index_advice()}


@router.post("/report", response=ReportOut, summary="Tell of queries outside Django")
def report(request: HttpRequest, payload: ReportIn) -> Any:
    """Analyse the queries of a bot's unit by the rules and limits of all others.

    They join the statistics and findings, also while Redis is away; what is found is answered at
    once. Values in the text of `sql` are kept with it, so send placeholders.
    """
    calls = sum(one.count for one in payload.queries)
    if calls > reports.MAX_CALLS:
        most = f"All together may have a count of up to {reports.MAX_CALLS}, not {calls}."
        raise Problem.from_fields({"queries": [most]})
    told = [_told(at, one) for at, one in enumerate(payload.queries)]
    settings = queries.current()
    if not settings.watches:
        return {"watched": False, "queries": 0, "findings": []}
    found = reports.take(payload.unit, told, settings)
    return {"watched": True, "queries": calls, "findings": found}


def _told(at: int, one: QueryIn) -> reports.Query:
    parameters = one.parameters
    if one.parameters_hash is not None:
        if parameters is not None:
            field = f"queries.{at}.parameters_hash"
            raise Problem.from_fields({field: ["Give it or parameters, not both."]})
        parameters = ("hash", one.parameters_hash)
    return reports.Query(one.sql, one.seconds, one.rows, one.location, one.count, parameters)


def _finding(finding_id: int) -> Finding:
    found = Finding.objects.filter(pk=finding_id).first()
    if found is None:
        raise Problem(404, "There is no such finding", type="unknown-finding")
    return found

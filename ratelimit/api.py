"""The limiter over HTTP."""

from typing import Annotated, Any

import msgspec
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from ninja import Field, Path, Query, Router, Schema, Status

from optimizer.control.problems import Problem
from optimizer.control.redis import RedisAway
from ratelimit import selectors
from ratelimit.answers import answer, refusal, together
from ratelimit.engine import MAX_SUBJECT_LENGTH, BadArgument, Decision
from ratelimit.headers import fields
from ratelimit.models import MAX_SCOPE_LENGTH, Access
from ratelimit.services import MAX_CHARGES, assignments, limiter

router = Router()

SubjectName = Annotated[
    str, Field(min_length=1, max_length=MAX_SUBJECT_LENGTH, examples=["user:42"])
]
SubjectPath = Annotated[str, Path(min_length=1, max_length=MAX_SUBJECT_LENGTH)]
ScopeName = Annotated[str, Field(max_length=MAX_SCOPE_LENGTH, examples=["command:play"])]
Tokens = Annotated[int, Field(ge=1, le=1_000_000)]


class Strict(Schema):
    """A body without unknown fields or guessed types."""

    model_config = {"extra": "forbid", "strict": True}


class CheckIn(Strict):
    """Whose bucket in which scope, and how many tokens."""

    subject: SubjectName
    cost: Tokens = 1
    scope: ScopeName = ""


class ManyIn(Strict):
    """Several checks: each for itself, or together (all or nothing)."""

    charges: list[CheckIn] = Field(min_length=1, max_length=MAX_CHARGES)
    together: bool = False


class BucketIn(Strict):
    """Whose bucket in which scope."""

    subject: SubjectName
    scope: ScopeName = ""


class GiveIn(BucketIn):
    """How many tokens to put in."""

    tokens: Tokens


class ReleaseIn(BucketIn):
    """Which call has ended."""

    slot: str = Field(min_length=1, max_length=64)


class AssignIn(Strict):
    """What a subject is given."""

    tier: str | None = Field(default=None, max_length=32)
    access: Access = Field(default=Access.LIMIT, strict=False)
    expires_after_seconds: int | None = Field(default=None, ge=1, le=366 * 86_400)
    reason: str = Field(default="", max_length=300)


class DecisionOut(Schema):
    """A decision; `slot` is what to release when the call ends, "" where there is nothing to."""

    allowed: bool
    tier: str
    policy: str
    limit: int
    remaining: int
    retry_after_seconds: float
    reset_after_seconds: float
    delay_seconds: float
    near_limit: bool
    shadow: bool
    quota_remaining: int | None
    slots_remaining: int | None
    slot: str
    source: str


class ManyOut(Schema):
    """The decisions in the order of the charges."""

    decisions: list[DecisionOut]
    allowed: bool | None = None
    retry_after_seconds: float | None = None
    delay_seconds: float | None = None


class TokensOut(Schema):
    """How many tokens are there now."""

    remaining: int


class BucketOut(DecisionOut):
    """A bucket; of `remaining` and `leased` tokens the leased are held by processes."""

    scope: str
    leased: int


class StatusOut(Schema):
    """A subject's standing."""

    subject: str
    access: Access
    buckets: list[BucketOut]


class TopOut(Schema):
    """A subject and its calls in about the last hour."""

    subject: str
    calls: int


class AssignedOut(Schema):
    """An assignment."""

    identifier: str
    tier: str | None
    access: Access
    expires_at: str | None


@router.post("/check", response=DecisionOut, summary="Spend tokens of a subject's bucket")
def check(request: HttpRequest, payload: CheckIn, response: HttpResponse) -> Any:
    """Answer 200 when the tokens were there and are spent, 429 when they were not."""
    decided = _try(limiter.check, payload.subject, payload.cost, payload.scope)
    if not decided.allowed:
        raise _denied([decided], msgspec.structs.asdict(answer(decided)))
    _put(response, fields((decided,)))
    return msgspec.structs.asdict(answer(decided))


@router.post(
    "/check-many",
    response=ManyOut,
    exclude_unset=True,
    summary="Spend tokens of several buckets",
)
def check_many(request: HttpRequest, payload: ManyIn, response: HttpResponse) -> Any:
    """Answer each for itself with 200; or together: 200 when all were spent, 429 when none."""
    charges = [(one.subject, one.cost, one.scope) for one in payload.charges]
    if not payload.together:
        decided = _try(limiter.check_many, charges)
        return {"decisions": [msgspec.structs.asdict(answer(one)) for one in decided]}
    verdict = _try(limiter.check_all, charges)
    if not verdict.allowed:
        raise _denied(verdict.decisions, together(verdict))
    _put(response, fields(verdict.decisions))
    return together(verdict)


@router.post("/peek", response=DecisionOut, summary="Look at a bucket without spending")
def peek(request: HttpRequest, payload: CheckIn) -> Any:
    """Tell what a check would be answered."""
    decided = _try(limiter.peek, payload.subject, payload.cost, payload.scope)
    return msgspec.structs.asdict(answer(decided))


@router.post("/reset", response={204: None}, summary="Fill a bucket and begin its quota anew")
def reset(request: HttpRequest, payload: BucketIn) -> Any:
    """Forget what was spent; other processes notice within the deny cache's time."""
    _try(limiter.reset, payload.subject, payload.scope)
    return Status(204, None)


@router.post("/grant", response=TokensOut, summary="Give tokens, even beyond the capacity")
def grant(request: HttpRequest, payload: GiveIn) -> Any:
    """Put tokens in; what is beyond the capacity is kept for a day."""
    return {"remaining": _try(limiter.grant, payload.subject, payload.tokens, payload.scope)}


@router.post("/refund", response=TokensOut, summary="Put back what was spent in vain")
def refund(request: HttpRequest, payload: GiveIn) -> Any:
    """Put tokens back, up to the capacity, and take them off the quota."""
    return {"remaining": _try(limiter.refund, payload.subject, payload.tokens, payload.scope)}


@router.post("/release", response={204: None}, summary="End a call of a tier that limits them")
def release(request: HttpRequest, payload: ReleaseIn) -> Any:
    """Free the slot that a check was given; one that has ended is no error."""
    _try(limiter.release, payload.subject, payload.slot, payload.scope)
    return Status(204, None)


@router.get("/status/{path:subject}", response=StatusOut, summary="All buckets of a subject")
def status(
    request: HttpRequest,
    subject: SubjectPath,
    scope: Annotated[str, Query(max_length=MAX_SCOPE_LENGTH)] = "",
) -> Any:
    """Tell what each scope's bucket holds; of a scope like command:* name the one you mean."""
    found = _try(selectors.buckets, subject, scope)
    return {
        "subject": subject,
        "access": found[0].rule.access,
        "buckets": [
            msgspec.structs.asdict(answer(one.decision))
            | {"scope": one.scope, "leased": one.decision.leased}
            for one in found
        ],
    }


@router.get("/top", response=list[TopOut], summary="Who made the most calls")
def top(request: HttpRequest, count: Annotated[int, Query(ge=1, le=1000)] = 20) -> Any:
    """Tell the largest consumers of about the last hour."""
    return [{"subject": name, "calls": calls} for name, calls in _try(selectors.top, count)]


@router.put("/subjects/{path:subject}", response=AssignedOut, summary="Assign a subject")
def assign(request: HttpRequest, subject: SubjectPath, payload: AssignIn) -> Any:
    """Give a subject a tier, or a place on the allow or deny list, for ever or for a time."""
    try:
        row = assignments.assign(
            subject,
            tier=payload.tier,
            access=payload.access.value,
            expires_after_seconds=payload.expires_after_seconds,
            reason=payload.reason,
        )
    except ValidationError as error:
        raise Problem.from_fields(error.message_dict) from error
    return {
        "identifier": row.identifier,
        "tier": row.tier.name if row.tier else None,
        "access": row.access,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


@router.delete("/subjects/{path:subject}", response={204: None}, summary="Unassign a subject")
def unassign(request: HttpRequest, subject: SubjectPath) -> Any:
    """Let the subject be treated as everybody else; 404 where it is."""
    if not assignments.unassign(subject):
        raise Problem(404, detail="The subject has no assignment.")
    return Status(204, None)


def _try(function: Any, *arguments: Any) -> Any:
    """Call the limiter; bad arguments and Redis away become problems."""
    try:
        return function(*arguments)
    except BadArgument as error:
        raise Problem.from_fields({error.field: [f"{error}."]}) from error
    except RedisAway as error:
        raise Problem(
            503,
            "Redis is away",
            type="temporary-reduced-capacity",
            detail="Buckets cannot be seen or changed now; checks go on.",
            headers={"Retry-After": "1"},
        ) from error


def _put(response: HttpResponse, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        response[name] = value


def _denied(decisions: Any, document: dict[str, Any]) -> Problem:
    told: list[Decision] = list(decisions)
    code, title, kind, names = refusal(told)
    return Problem(
        code,
        title,
        type=kind,
        headers=fields(told),
        members={"violated-policies": names, **document},
    )

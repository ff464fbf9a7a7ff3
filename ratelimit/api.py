"""The limiter over HTTP."""

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema

from optimizer.control.problems import Problem
from ratelimit.engine import MAX_SUBJECT_LENGTH, Decision
from ratelimit.headers import fields
from ratelimit.services import limiter

router = Router()


class CheckIn(Schema):
    """Whose bucket, and how many tokens."""

    subject: str = Field(min_length=1, max_length=MAX_SUBJECT_LENGTH, examples=["user:42"])
    cost: int = Field(default=1, ge=1, le=1_000_000)

    model_config = {"extra": "forbid", "strict": True}


class DecisionOut(Schema):
    """An allowed check."""

    allowed: bool
    tier: str
    limit: int
    remaining: int
    retry_after_seconds: float
    reset_after_seconds: float
    source: str


@router.post("/check", response=DecisionOut, summary="Spend tokens of a subject's bucket")
def check(request: HttpRequest, payload: CheckIn, response: HttpResponse) -> dict[str, object]:
    """Answer 200 when the tokens were there and are spent, 429 when they were not."""
    try:
        decision = limiter.check(payload.subject, payload.cost)
    except ValueError as error:
        raise Problem.from_fields({"cost": [f"{error}."]}) from error
    headers = fields(decision)
    if not decision.allowed:
        raise _denied(decision, headers)
    for name, value in headers.items():
        response[name] = value
    return _document(decision)


def _document(decision: Decision) -> dict[str, object]:
    return {
        "allowed": decision.allowed,
        "tier": decision.limit.name,
        "limit": decision.limit.capacity,
        "remaining": decision.remaining,
        "retry_after_seconds": decision.retry_after_seconds,
        "reset_after_seconds": decision.reset_after_seconds,
        "source": decision.source,
    }


def _denied(decision: Decision, headers: dict[str, str]) -> Problem:
    away = decision.source == "redis-away"
    return Problem(
        503 if away else 429,
        "The limiter cannot decide now" if away else "The limit is reached",
        type="temporary-reduced-capacity" if away else "quota-exceeded",
        headers=headers,
        members={"violated-policies": [decision.limit.name], **_document(decision)},
    )

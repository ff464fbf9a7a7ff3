"""What goes over the wire, without the wire: requests out, answers and errors in."""

from dataclasses import dataclass
from typing import Any

import msgspec


class TuneupError(Exception):
    """Base of the client's errors."""


class Unavailable(TuneupError):
    """The server could not be reached, or did not answer in time."""


class Problem(msgspec.Struct):
    """An RFC 9457 document, as far as it is common to all problems."""

    status: int
    title: str = ""
    type: str = "about:blank"
    detail: str = ""
    errors: list[dict[str, str]] = []


class ApiError(TuneupError):
    """The server refused: `status` and `problem` say why."""

    def __init__(self, problem: Problem, retry_after_seconds: float | None = None) -> None:
        fields = "; ".join(f"{one.get('field')}: {one.get('message')}" for one in problem.errors)
        says = ". ".join(part for part in (problem.title, problem.detail, fields) if part)
        super().__init__(f"{problem.status} {says}")
        self.status, self.problem = problem.status, problem
        self.retry_after_seconds = retry_after_seconds


class Unauthorized(ApiError):
    """The key is unknown, revoked or expired, or may not call this component."""


class InvalidFields(ApiError):
    """Some fields are not valid; `problem.errors` names each with its range."""


class LimiterAway(ApiError):
    """The limiter cannot decide now, and the tier refuses calls then."""


class Decision(msgspec.Struct, frozen=True):
    """The answer to a check; true when the call may go on."""

    allowed: bool
    tier: str
    limit: int
    remaining: int
    retry_after_seconds: float
    reset_after_seconds: float
    source: str

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class Call:
    """One request: where to, and with what body."""

    method: str
    path: str
    body: bytes


_encoder = msgspec.json.Encoder()
_decision = msgspec.json.Decoder(Decision)
_problem = msgspec.json.Decoder(Problem)
_ERRORS: dict[int, type[ApiError]] = {401: Unauthorized, 403: Unauthorized, 422: InvalidFields}


def check_call(subject: str, cost: int) -> Call:
    """Return the request of a check."""
    body = _encoder.encode({"subject": subject, "cost": cost})
    return Call("POST", "/internal/v1/ratelimit/check", body)


def read_decision(status: int, body: bytes, headers: Any) -> Decision:
    """Return the decision in an answer; a denial is a decision too. Raises ApiError."""
    try:
        if status == 200:
            return _decision.decode(body)
        problem = _problem.decode(body)
        if status == 429 and problem.type == "quota-exceeded":
            return _decision.decode(body)
    except msgspec.DecodeError as error:
        raise ApiError(Problem(status, "The answer cannot be read")) from error
    wait = headers.get("Retry-After", "")
    retry_after_seconds = float(wait) if wait.isdecimal() else None
    kind = _ERRORS.get(status, ApiError)
    if problem.type == "temporary-reduced-capacity":
        kind = LimiterAway
    raise kind(problem, retry_after_seconds)

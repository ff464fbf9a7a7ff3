"""What goes over the wire, without the wire: requests out, answers and errors in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

T = TypeVar("T")


class TuneupError(Exception):
    """Base of the client's errors; `items_sent` counts those of `submit_many` that went before."""

    items_sent = 0


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


class CacheAway(ApiError):
    """What only the cache's Redis knows cannot be told now."""


class BatchesAway(ApiError):
    """The database that items are kept in is away; try again."""


class JobFull(ApiError):
    """The job has too much waiting; `retry_after_seconds` says when to come again."""


class Decision(msgspec.Struct, frozen=True):
    """The answer to a check; true when the call may go on.

    `delay_seconds` above 0 asks to wait so long before going on; `slot` is to be released when the
    call ends. `quota_remaining` and `slots_remaining` are None where the tier has no such limit.
    """

    allowed: bool
    tier: str
    limit: int
    remaining: int
    retry_after_seconds: float
    reset_after_seconds: float
    source: str
    policy: str = ""
    delay_seconds: float = 0.0
    near_limit: bool = False
    shadow: bool = False
    quota_remaining: int | None = None
    slots_remaining: int | None = None
    slot: str = ""

    def __bool__(self) -> bool:
        return self.allowed


class Verdict(msgspec.Struct, frozen=True):
    """The answer to several charges together; true when all were spent."""

    allowed: bool
    decisions: tuple[Decision, ...]
    retry_after_seconds: float = 0.0
    delay_seconds: float = 0.0
    violated_policies: tuple[str, ...] = msgspec.field(name="violated-policies", default=())

    def __bool__(self) -> bool:
        return self.allowed


class Bucket(Decision, frozen=True):
    """A subject's bucket in one scope; `leased` more tokens are held by server processes."""

    scope: str = ""
    leased: int = 0


class Standing(msgspec.Struct, frozen=True):
    """A subject's buckets in all scopes; `access` is limit, allow or deny."""

    subject: str
    access: str
    buckets: tuple[Bucket, ...]


class Consumer(msgspec.Struct, frozen=True):
    """A subject and its calls in about the last hour."""

    subject: str
    calls: int


class Charge(msgspec.Struct, frozen=True):
    """Who is charged how many tokens in which scope."""

    subject: str
    cost: int = 1
    scope: str = ""


class _Many(msgspec.Struct):
    decisions: list[Decision]


class _Tokens(msgspec.Struct):
    remaining: int


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: where to, with what body, how its answer reads; `away` says Redis is away.

    `timeout_seconds` is for calls that may take longer than others; None is the client's own.
    """

    method: str
    path: str
    body: bytes
    read: Callable[[int, bytes], T]
    away: type[ApiError] = LimiterAway
    timeout_seconds: float | None = None


_BASE = "/internal/v1/ratelimit"
_encode = msgspec.json.Encoder().encode
_problem = msgspec.json.Decoder(Problem)
_ERRORS: dict[int, type[ApiError]] = {401: Unauthorized, 403: Unauthorized, 422: InvalidFields}
_DENIALS = frozenset({"quota-exceeded", "abnormal-usage-detected"})


def _reader(kind: type[T], *, denials: bool = False) -> Callable[[int, bytes], T]:
    """Return what reads a `kind`; with `denials` a denial is one of them, and no error."""
    decode = msgspec.json.Decoder(kind).decode

    def read(status: int, body: bytes) -> T:
        if status != 200 and not (denials and _problem.decode(body).type in _DENIALS):
            raise msgspec.ValidationError
        return decode(body)

    return read


def _nothing(status: int, body: bytes) -> None:
    if status != 204:
        raise msgspec.ValidationError


_one = _reader(Decision, denials=True)
_look = _reader(Decision)
_verdict = _reader(Verdict, denials=True)
_many = _reader(_Many)
_tokens = _reader(_Tokens)
_standing = _reader(Standing)
_top = _reader(list[Consumer])


def _post(name: str, read: Callable[[int, bytes], T], document: Any) -> Call[T]:
    return Call("POST", f"{_BASE}/{name}", _encode(document), read)


def check(subject: str, cost: int, scope: str) -> Call[Decision]:
    return _post("check", _one, Charge(subject, cost, scope))


def check_many(charges: Iterable[Charge]) -> Call[list[Decision]]:
    def read(status: int, body: bytes) -> list[Decision]:
        return _many(status, body).decisions

    return _post("check-many", read, {"charges": list(charges)})


def check_all(charges: Iterable[Charge]) -> Call[Verdict]:
    return _post("check-many", _verdict, {"charges": list(charges), "together": True})


def peek(subject: str, cost: int, scope: str) -> Call[Decision]:
    return _post("peek", _look, Charge(subject, cost, scope))


def reset(subject: str, scope: str) -> Call[None]:
    return _post("reset", _nothing, {"subject": subject, "scope": scope})


def give(how: str, subject: str, tokens: int, scope: str) -> Call[int]:
    def read(status: int, body: bytes) -> int:
        return _tokens(status, body).remaining

    return _post(how, read, {"subject": subject, "tokens": tokens, "scope": scope})


def release(subject: str, slot: str, scope: str) -> Call[None]:
    return _post("release", _nothing, {"subject": subject, "slot": slot, "scope": scope})


def status(subject: str) -> Call[Standing]:
    return Call("GET", f"{_BASE}/status/{quote(subject, safe='')}", b"", _standing)


def top(count: int) -> Call[list[Consumer]]:
    return Call("GET", f"{_BASE}/top?count={count}", b"", _top)


def assign(subject: str, document: Mapping[str, Any]) -> Call[None]:
    def read(status: int, body: bytes) -> None:
        if status != 200:
            raise msgspec.ValidationError

    path = f"{_BASE}/subjects/{quote(subject, safe='')}"
    given = {name: value for name, value in document.items() if value is not None}
    return Call("PUT", path, _encode(given), read)


def unassign(subject: str) -> Call[None]:
    return Call("DELETE", f"{_BASE}/subjects/{quote(subject, safe='')}", b"", _nothing)


def read_answer(call: Call[T], status: int, body: bytes, headers: Any) -> T:
    """Return what a call was answered. Raises ApiError."""
    try:
        return call.read(status, body)
    except msgspec.DecodeError:
        pass
    try:
        problem = _problem.decode(body)
    except msgspec.DecodeError as error:
        raise ApiError(Problem(status, "The answer cannot be read")) from error
    wait = headers.get("Retry-After", "")
    retry_after_seconds = float(wait) if wait.isdecimal() else None
    kind = _ERRORS.get(status, ApiError)
    if problem.type == "temporary-reduced-capacity":
        kind = call.away
    elif problem.type == "job-full":
        kind = JobFull
    raise kind(problem, retry_after_seconds)


def charges_of(charges: Iterable[Charge | Sequence[Any]]) -> list[Charge]:
    """Return charges that were given as such, or as tuples of their fields."""
    return [one if isinstance(one, Charge) else Charge(*one) for one in charges]

"""Picks, reports and forwarded calls over HTTP."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, ParamSpec, TypeVar

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Path, Router, Status

from optimizer.balancer import selectors
from optimizer.balancer.engine.events import Unavailable
from optimizer.balancer.schemas import (
    CallReportIn,
    CallsIn,
    CallsOut,
    GroupOut,
    LeaseOut,
    PickIn,
    SnapshotOut,
)
from optimizer.balancer.services import forwarding, outside
from optimizer.balancer.services.balancing import MAX_KEY_LENGTH, UnknownGroup
from optimizer.balancer.services.leases import LeaseOver, Report, UnknownLease, leases
from optimizer.control.problems import Problem, allow_larger_bodies, pass_on
from optimizer.control.redis import RedisAway

router = Router()
P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024**2  # at most; `max_body_bytes` says how many
KEY_HEADER = "X-Balancer-Key"
BACKEND_HEADER = "X-Balancer-Backend"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
allow_larger_bodies(r"/internal/v1/balancer/[^/]+/forward/.*", MAX_BODY_BYTES, any_type=True)

GroupName = Annotated[str, Path(min_length=1, max_length=48, examples=["example"])]


def _also(**errors: str) -> dict[str, Any]:
    """Return what the document says of further errors: status_410="…"."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "responses": {
            name.removeprefix("status_"): {"description": says, "content": content}
            for name, says in errors.items()
        }
    }


@router.get("", response=list[GroupOut], summary="All groups")
def groups(request: HttpRequest) -> Any:
    """Tell each group's backends and their state, as this process sees them."""
    return selectors.groups()


@router.get("/{group}", response=SnapshotOut, summary="What a client picks from")
def snapshot(request: HttpRequest, group: GroupName) -> Any:
    """Give the group's settings and health, for clients that pick by themselves."""
    return _try(outside.snapshot, group)


@router.post("/{group}/pick", response=LeaseOut, summary="Pick a backend")
def pick(request: HttpRequest, group: GroupName, payload: PickIn) -> Any:
    """Answer a backend to call, and a lease to report afterwards, or it counts as unreported."""
    return asdict(_try(leases.pick, group, payload.key))


@router.post(
    "/{group}/report",
    response={204: None, 202: None},
    summary="Say how a leased call went",
    openapi_extra=_also(status_410="The lease is over"),
)
def report(request: HttpRequest, group: GroupName, payload: CallReportIn) -> Any:
    """Count the call: at once (204), or in the process that gave the lease (202)."""
    known = Report(payload.lease, payload.ok, payload.seconds)
    return Status(204 if _try(leases.report, group, known) else 202, None)


@router.post("/{group}/calls", response=CallsOut, summary="Count calls that a client picked for")
def calls(request: HttpRequest, group: GroupName, payload: CallsIn) -> Any:
    """Add a client's calls to the statistics, and share what it ejected."""
    counted = [outside.Counted(**one.model_dump()) for one in payload.calls]
    ejected = [outside.Ejected(**one.model_dump()) for one in payload.ejected]
    return {"counted": _try(outside.count, group, counted, ejected)}


@router.api_operation(["HEAD"], "/{group}/forward/{path:path}", include_in_schema=False)
@router.api_operation(
    METHODS,
    "/{group}/forward/{path:path}",
    summary="Forward a call",
    openapi_extra=_also(
        status_411="The body has no length",
        status_502="No backend has answered",
        status_504="The backend did not answer in time",
        status_508="The call was forwarded here before",
    ),
)
def forward(request: HttpRequest, group: GroupName, path: str) -> Any:
    """Send the call to one of the group's backends, and its answer back as it comes.

    `X-Balancer-Key` is the key of sticky groups. The API key and cookies stay here:
    `X-Backend-Authorization` is sent as `Authorization`, as is every header with this prefix.
    """
    return _forward(request, group, path)


@router.api_operation([*METHODS, "HEAD"], "/{group}/forward/", include_in_schema=False)
def forward_to_base(request: HttpRequest, group: GroupName) -> Any:
    """Send a call to the address itself."""
    return _forward(request, group, "")


def _forward(request: HttpRequest, group: str, path: str) -> StreamingHttpResponse:
    key = request.headers.get(KEY_HEADER, "")
    if len(key) > MAX_KEY_LENGTH:
        says = f"may have up to {MAX_KEY_LENGTH} characters."
        raise Problem.from_fields({KEY_HEADER: [says]})
    given = forwarding.Request(
        method=request.method or "GET",
        path=path,
        query=request.META.get("QUERY_STRING", ""),
        headers=[(name, value) for name, value in request.headers.items() if name != KEY_HEADER],
        body=request.read(),
        key=key,
    )
    answer = _try(forwarding.forward, group, given)
    response = StreamingHttpResponse(_Parts(answer), status=answer.status)
    del response.headers["Content-Type"]
    for name, value in answer.headers:
        known = response.headers.get(name)
        response.headers[name] = value if known is None else f"{known}, {value}"
    response.headers[BACKEND_HEADER] = answer.backend
    pass_on(response)
    return response


class _Parts:
    """The body of an answer; it is closed also when nobody has read it."""

    def __init__(self, answer: forwarding.Answer) -> None:
        self._answer, self._parts = answer, answer.parts()

    def __iter__(self) -> Any:
        return self._parts

    def close(self) -> None:
        self._parts.close()  # type: ignore[attr-defined]
        self._answer.close()


def _try(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a service; what it raises becomes a problem."""
    try:
        return function(*args, **kwargs)
    except UnknownGroup as error:
        raise Problem(404, "No such group", type="unknown-group", detail=_says(error)) from error
    except Unavailable as error:
        kind = "group-full" if error.full else "no-backend"
        title = "The group is busy" if error.full else "No backend can take the call"
        raise Problem(
            503, title, type=kind, detail=_says(error), headers={"Retry-After": "1"}
        ) from error
    except UnknownLease as error:
        raise Problem(404, "No such lease", type="unknown-lease", detail=_says(error)) from error
    except LeaseOver as error:
        raise Problem(410, "The lease is over", type="lease-over", detail=_says(error)) from error
    except forwarding.Refused as error:
        status = {"body": 413, "via": 508}.get(error.field)
        if status is None:
            raise Problem.from_fields({error.field: [f"{error.says}."]}) from error
        raise Problem(status, detail=_says(error)) from error
    except forwarding.SwitchedOff as error:
        says = "An admin has switched forwarding off."
        raise Problem(503, "Nothing is forwarded", type="switched-off", detail=says) from error
    except forwarding.NotAnswered as error:
        status = 504 if error.timed_out else 502
        raise Problem(
            status, "The backend did not answer", type="not-answered", detail=_says(error)
        ) from error
    except RedisAway as error:
        raise Problem(
            503,
            "Redis is away",
            type="temporary-reduced-capacity",
            detail="What other processes decide or count cannot be told now; picks go on.",
            headers={"Retry-After": "1"},
        ) from error


def _says(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."

"""Settings, revisions and processes over HTTP: what the admin does, for programs."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest
from ninja import Body, Field, Path, Query, Router, Schema

from optimizer.control import processes, selectors
from optimizer.control.documents import (
    DocumentError,
    apply_document,
    component_names,
    export_document,
    exported_rows,
    touches_hidden_rows,
)
from optimizer.control.models import Revision
from optimizer.control.problems import Problem
from optimizer.control.redis import RedisAway
from optimizer.control.revisions import (
    MAX_REVERT_AFTER_SECONDS,
    RevertRefused,
    confirm,
    revert,
)

router = Router()

Number = Annotated[int, Path(ge=1, le=2**63 - 1)]


class ChangeOut(Schema):
    """A field that was, or would be, changed."""

    path: str
    before: Any
    after: Any


class AppliedOut(Schema):
    """What a document changed."""

    changes: list[ChangeOut]
    dry_run: bool


class RevisionOut(Schema):
    """One change of settings."""

    number: int
    component: str
    actor: str
    channel: str
    reason: str
    request_id: str
    created_at: datetime
    reverts_id: int | None
    before: dict[str, Any]
    after: dict[str, Any]


class RevertIn(Schema):
    """How to revert."""

    force: bool = False
    reason: str = Field(default="", max_length=300)

    model_config = {"extra": "forbid", "strict": True}


class RevertOut(Schema):
    """The revision that was made; null where nothing differed."""

    revision: int | None


class ConfirmOut(Schema):
    """Whether there was something to confirm."""

    confirmed: bool


class ProcessOut(Schema):
    """A process as it last reported itself."""

    role: str
    host: str
    pid: int
    revision: int
    took_seconds: float | None
    age_seconds: float
    state: str
    error: str


@router.get("/settings/{component}", summary="Read a component's settings")
def read_settings(request: HttpRequest, component: str) -> dict[str, Any]:
    """Return the stored settings in the form that export writes."""
    return export_document([_known(component)])[component]


@router.patch("/settings/{component}", response=AppliedOut, summary="Change settings")
def change_settings(
    request: HttpRequest,
    component: str,
    payload: Annotated[dict[str, dict[str, Any]], Body()],
    dry_run: bool = False,
    reason: Annotated[str, Query(max_length=300)] = "",
    revert_after_seconds: Annotated[int | None, Query(ge=1, le=MAX_REVERT_AFTER_SECONDS)] = None,
    unless_confirmed: bool = False,
) -> dict[str, Any]:
    """Apply a partial document whole or not at all, as one revision.

    With `revert_after_seconds` it ends by itself, with `unless_confirmed` only when nobody
    confirms it.
    """
    document = {_known(component): payload}
    try:
        changes = apply_document(
            document,
            dry_run=dry_run,
            reason=_clean(reason),
            revert_after_seconds=revert_after_seconds,
            unless_confirmed=unless_confirmed,
        )
    except DocumentError as error:
        raise Problem.from_fields(error.errors) from error
    return {"changes": changes, "dry_run": dry_run}


@router.get("/revisions", response=list[RevisionOut], summary="List revisions, newest first")
def list_revisions(
    request: HttpRequest,
    component: str = "",
    before: Annotated[int, Query(ge=1, le=2**63 - 1)] = 2**63 - 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Any:
    """Return revisions below the number `before`."""
    found = Revision.objects.filter(number__lt=before)
    if component:
        found = found.filter(component=_known(component))
    return [_public(one) for one in found[:limit]]


@router.post("/revisions/{number}/revert", response=RevertOut, summary="Revert a revision")
def revert_revision(request: HttpRequest, number: Number, payload: RevertIn) -> dict[str, Any]:
    """Put back what the revision changed; 409 when some of it was changed again since."""
    revision = Revision.objects.filter(pk=number).first()
    if revision is not None and touches_hidden_rows(revision):
        raise Problem(
            403, "Only the admin reverts this", type="hidden-rows", detail="It touches API keys."
        )
    try:
        made = revert(number, force=payload.force, reason=payload.reason)
    except Revision.DoesNotExist as error:
        raise Http404 from error
    except RevertRefused as error:
        raise Problem(
            409,
            "Some of it was changed since",
            type="revert-conflict",
            detail='Send "force": true to overwrite.',
            errors=[{"field": "number", "message": says} for says in error.conflicts],
        ) from error
    except ValidationError as error:
        raise Problem.from_fields({"number": error.messages}) from error
    return {"revision": made.number if made is not None else None}


@router.post("/revisions/{number}/confirm", response=ConfirmOut, summary="Confirm a change")
def confirm_revision(request: HttpRequest, number: Number) -> dict[str, Any]:
    """Keep a change that would revert itself."""
    if not Revision.objects.filter(pk=number).exists():
        raise Http404
    return {"confirmed": confirm(number)}


@router.get("/processes", response=list[ProcessOut], summary="Who obeys the newest revision")
def list_processes(request: HttpRequest) -> Any:
    """Return the processes that reported lately; 503 while Redis is away."""
    try:
        return processes.seen(selectors.head_revision())
    except RedisAway as error:
        raise Problem(
            503, "Redis is away", type="redis-away", headers={"Retry-After": "1"}
        ) from error


def _public(revision: Revision) -> Revision:
    revision.before = exported_rows(revision.before)
    revision.after = exported_rows(revision.after)
    return revision


def _known(component: str) -> str:
    if component not in component_names():
        raise Http404
    return component


def _clean(text: str) -> str:
    if "\x00" in text:  # no database keeps it
        raise Problem.from_fields({"reason": ["Must have no NUL characters."]})
    return text

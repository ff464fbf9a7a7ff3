"""Items over HTTP, and what becomes of them."""

import re
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status

from optimizer.batches import selectors
from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Asked
from optimizer.batches.models import Job as JobRow
from optimizer.batches.schemas import (
    MAX_ID,
    MAX_OFFSET,
    SUBMIT_BODY,
    DiscardedOut,
    LettersOut,
    ProgressOut,
    ReplayedOut,
    RunOut,
    SubmitIn,
    SubmittedOut,
    WhichIn,
)
from optimizer.batches.selectors import dead_letters as letters
from optimizer.batches.selectors.runs import run_of
from optimizer.batches.services import dead_letters, operating
from optimizer.batches.services.errors import BadItem, JobFull, TooMany, UnknownJob
from optimizer.batches.services.runs import Overlap
from optimizer.batches.services.submitting import Entry, Submitted, find, submit_many
from optimizer.control.origin import current_origin
from optimizer.control.problems import Problem, allow_larger_bodies

router = Router()
P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY_BYTES = 16 * 1024**2
allow_larger_bodies(r"/internal/v1/batches/[^/]+/items", MAX_BODY_BYTES)

JobName = Annotated[str, Path(min_length=1, max_length=48, examples=["example"])]
RunId = Annotated[int, Path(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=letters.MOST)]

_decode = msgspec.json.Decoder(SubmitIn).decode
_encode = msgspec.json.Encoder().encode
_PLACE = re.compile(r"(?P<says>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)
_NAMED = re.compile(r"(?:unknown|required) field `(.*)`", re.DOTALL)


@router.get("", response=list[ProgressOut], summary="All jobs")
def jobs(request: HttpRequest) -> Any:
    """Tell how far each job is, by name."""
    return _try(selectors.progress_of_all)


@router.post(
    "/{job}/items",
    response={200: SubmittedOut, 202: SubmittedOut},
    summary="Send items",
    openapi_extra=SUBMIT_BODY,
)
def submit(request: HttpRequest, job: JobName) -> Any:
    """Take up to 10,000 items, all or none; answered once they are committed.

    200 says that all of them were accepted before, by their idempotency keys. A job that is full
    takes none and answers 429. A body may have up to 16 MiB.
    """
    entries = _entries(request.read())
    done = _try(_submit, job, entries)
    answer = HttpResponse(
        _encode({"accepted": done.accepted, "known": done.known}),
        content_type="application/json; charset=utf-8",
        status=202 if done.accepted else 200,
    )
    answer["Cache-Control"] = "no-store"
    return answer


def _submit(job: str, entries: list[Entry]) -> Submitted:
    return submit_many(job, entries, wait=False)


def _entries(body: bytes) -> list[Entry]:
    """Return the items of a body. Raises Problem."""
    try:
        given = _decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, detail="The body is not valid JSON.") from error
    except RecursionError as error:
        raise Problem(400, detail="The body is nested too deeply.") from error
    if (given.items is msgspec.UNSET) == (given.item is msgspec.UNSET):
        raise Problem.from_fields({"items": ["Give items, or one item."]})
    if isinstance(given.items, msgspec.UnsetType):
        return [Entry(given.item, given.key, given.order)]
    if given.key or given.order:
        name = "key" if given.key else "order"
        raise Problem.from_fields({name: [f"Each of the items has its own {name}."]})
    return [Entry(one.item, one.key, one.order) for one in given.items]


def _invalid(error: str) -> Problem:
    """Return what msgspec has found as the field it is about and what is said of it."""
    found = _PLACE.fullmatch(error)
    says, field = (found["says"], found["field"] or "") if found else (error, "")
    if (named := _NAMED.search(says)) is not None:
        field = f"{field}.{named[1]}".lstrip(".")
    return Problem.from_fields({field or "body": [f"{says}."]})


@router.get("/{job}/progress", response=ProgressOut, summary="How far a job is")
def progress(request: HttpRequest, job: JobName) -> Any:
    """Tell what is done, has failed and is left, at what rate and until when."""
    return _progress(job)


@router.post("/{job}/run", response={202: RunOut}, summary="Run a job now")
def run(request: HttpRequest, job: JobName) -> Any:
    """Have a worker write all that waits and what the job's source gives; 409 while one does."""
    begun = _try(operating.hand_over, job, trigger="api", actor=current_origin().actor)
    return Status(202, RunOut.of(begun, job))


@router.get("/{job}/runs/{run_id}", response=RunOut, summary="A run")
def get_run(request: HttpRequest, job: JobName, run_id: RunId) -> Any:
    """Tell how far a run is, or how it has ended; 404 where there is none."""
    found = _try(run_of, _find(job).id, run_id)
    if found is None:
        raise Problem(404, "There is no such run", type="unknown-run")
    return RunOut.of(found, job)


@router.post("/{job}/pause", response=ProgressOut, summary="Pause a job")
def pause(request: HttpRequest, job: JobName) -> Any:
    """Keep what comes in and write nothing; a revision of the settings."""
    _try(operating.pause, job)
    return _progress(job)


@router.post("/{job}/resume", response=ProgressOut, summary="Resume a job")
def resume(request: HttpRequest, job: JobName) -> Any:
    """Go on, whether it was paused or has stopped; its skip limit counts anew."""
    _try(operating.resume, job)
    return _progress(job)


@router.get("/{job}/dead-letters", response=LettersOut, summary="Items that cannot be applied")
def list_dead_letters(
    request: HttpRequest,
    job: JobName,
    error_type: Annotated[str, Query(max_length=100, examples=["ValidationError"])] = "",
    limit: Limit = 20,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Any:
    """List a job's dead letters, the newest first."""
    if "\0" in error_type:  # no database has it
        raise Problem.from_fields({"error_type": ["Must have no NUL characters."]})
    return _try(letters.listed, _find(job).id, limit, offset, error_type=error_type)


@router.post(
    "/{job}/dead-letters/replay",
    response={200: ReplayedOut, 202: ReplayedOut},
    summary="Try them again",
)
def replay(request: HttpRequest, job: JobName, payload: WhichIn) -> Any:
    """Put dead letters back into the inbox; ids that are not the job's are left out.

    202 says that they are more than 2,000, and a worker does it.
    """
    done = _settle(job, payload, Asked.REPLAY)
    return _settled(done, replayed=done.done)


@router.post(
    "/{job}/dead-letters/discard",
    response={200: DiscardedOut, 202: DiscardedOut},
    summary="Delete them for good",
)
def discard(request: HttpRequest, job: JobName, payload: WhichIn) -> Any:
    """Delete dead letters; ids that are not the job's are left out.

    202 says that they are more than 2,000, and a worker does it.
    """
    done = _settle(job, payload, Asked.DISCARD)
    return _settled(done, discarded=done.done)


def _settle(job: str, payload: WhichIn, asked: Asked) -> dead_letters.Settled:
    return _try(dead_letters.settle, letters.of_job(_find(job).id, payload.ids), asked)


def _settled(done: dead_letters.Settled, **counts: int) -> Any:
    return Status(202 if done.waiting else 200, {**counts, "waiting": done.waiting})


def _progress(job: str) -> selectors.Progress:
    return _try(selectors.progress, _find(job))


def _find(job: str) -> Job:
    return _try(find, job)


def _try(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Call a service; its errors, and the database away, become problems."""
    try:
        return function(*arguments, **named)
    except UnknownJob as error:
        raise _unknown(error) from error
    except BadItem as error:
        field = f"items[{error.index}].{error.field}"
        raise Problem.from_fields({field: [f"{error.message}."]}) from error
    except TooMany as error:
        says = f"At most {error.most} at once: that is the job's high-water mark."
        raise Problem.from_fields({"items": [says]}) from error
    except JobFull as error:
        raise Problem(
            429,
            "The job is full",
            type="job-full",
            detail=f"Nothing was accepted; try again in {error.retry_after_seconds} s.",
            headers={"Retry-After": str(error.retry_after_seconds)},
        ) from error
    except Overlap as error:
        raise Problem(
            409, "A run of the job is going on", type="run-going-on", detail=f"{error}."
        ) from error
    except (OperationalError, InterfaceError) as error:
        raise _away() from error


def _unknown(error: UnknownJob) -> Problem:
    try:
        known = list(JobRow.objects.order_by("name").values_list("name", flat=True))
    except (OperationalError, InterfaceError):
        return _away()  # so it is not known whether there is such a job
    return Problem(
        404, "No such job", type="unknown-job", detail=f"{error}.", members={"known": known}
    )


def _away() -> Problem:
    return Problem(
        503,
        "The database is away",
        type="temporary-reduced-capacity",
        detail="Try again; items with idempotency keys are not taken twice.",
        headers={"Retry-After": "1"},
    )

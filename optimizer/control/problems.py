"""Errors in one shape: RFC 9457 problem+json, with the fields and their allowed ranges named."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

CONTENT_TYPE = "application/problem+json"
# Where a program talks to us; elsewhere people read pages.
API_PATHS = ("/internal/", "/health", "/ready", "/metrics", "/api/")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_larger_bodies: dict[re.Pattern[str], int] = {}
_any_bodies: list[re.Pattern[str]] = []


def allow_larger_bodies(path: str, max_bytes: int, *, any_type: bool = False) -> None:
    """Let bodies to the paths that fit a regular expression as a whole have up to so many bytes.

    Their views call `request.read()`: Django's own limit is that of `request.body`, for all paths.
    With `any_type` they need not be JSON.
    """
    _larger_bodies[re.compile(path)] = max_bytes
    if any_type:
        _any_bodies.append(re.compile(path))


def pass_on(response: HttpResponseBase) -> None:
    """Let a response be sent as it is, though it may be an error: it is another server's."""
    response._passed_on = True  # type: ignore[attr-defined]
    response._has_been_logged = True  # type: ignore[attr-defined]


class Problem(Exception):
    """An error to answer with.

    `type` is a short stable name, "about:blank" where the status says all; `errors` lists
    {"field": …, "message": …}; other members go into the document as they are.
    """

    def __init__(
        self,
        status: int,
        title: str = "",
        *,
        type: str = "about:blank",
        detail: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(title or detail)
        self.status, self.type = status, type
        self.title = title or HTTPStatus(status).phrase
        self.detail, self.errors = detail, errors
        self.headers, self.members = headers or {}, members or {}

    @classmethod
    def from_fields(cls, errors: Mapping[str, Sequence[str]]) -> "Problem":
        """Return a 422 that names each bad field."""
        listed = [
            {"field": field, "message": says} for field, all in errors.items() for says in all
        ]
        return cls(422, "Some fields are not valid", type="invalid-fields", errors=listed)


def respond(problem: Problem) -> HttpResponse:
    """Return the problem as a response."""
    document: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
    }
    if problem.detail:
        document["detail"] = problem.detail
    if problem.errors:
        document["errors"] = list(problem.errors)
    document.update(problem.members)
    response = HttpResponse(json.dumps(document), content_type=CONTENT_TYPE, status=problem.status)
    response["Cache-Control"] = "no-store"
    # Django would log a line for each; a denied call must not cost one, and metrics count them.
    response._has_been_logged = problem.status < 500  # type: ignore[attr-defined]
    for name, value in problem.headers.items():
        response[name] = value
    return response


class ProblemMiddleware:
    """Give every error of the API paths the one shape, wherever in Django it arose."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PATHS):
            return self.get_response(request)
        refused = _refuse_body(request)
        if refused is not None:
            return respond(refused)
        response = self.get_response(request)
        content_type = response.get("Content-Type", "")
        if getattr(response, "_passed_on", False):
            return response
        if response.status_code >= 400 and not content_type.startswith(CONTENT_TYPE):
            # In place, so that the headers other middleware set stay.
            problem = respond(Problem(response.status_code))
            response.content = problem.content
            response["Content-Type"] = CONTENT_TYPE
            response["Content-Length"] = str(len(problem.content))
        return response


def _refuse_body(request: HttpRequest) -> Problem | None:
    """Refuse a body before it is read: too large, or not JSON."""
    if request.method not in _BODY_METHODS or not request.path.startswith("/internal/"):
        return None
    if "HTTP_TRANSFER_ENCODING" in request.META:  # WSGI would show such a body as empty
        return Problem(411, detail="Send the body with a Content-Length, not in chunks.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal():
        return Problem(400, detail="Content-Length must be a whole number.")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if int(length) > limit:
        limit = _limit_of(request.path)
    if int(length) > limit:
        return Problem(413, detail=f"A body may have up to {limit} bytes.")
    is_free = any(pattern.fullmatch(request.path) for pattern in _any_bodies)
    if int(length) and request.content_type != "application/json" and not is_free:
        return Problem(415, detail="The Content-Type must be application/json.")
    return None


def _limit_of(path: str) -> int:
    allowed = [most for pattern, most in _larger_bodies.items() if pattern.fullmatch(path)]
    return max([settings.DATA_UPLOAD_MAX_MEMORY_SIZE, *allowed])

"""Who asks for what: the actor, channel and request id of the work at hand.

Every revision and every log line takes them from here, so no call passes them along.
"""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse

REQUEST_ID = "tuneup.request_id"  # in the environ of a request
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Origin:
    """The source of a change: `channel` is admin, api, command, beat, worker or code."""

    channel: str = "code"
    actor: str = ""
    request_id: str = ""
    task_id: str = ""
    task: str = ""  # its name


_origin: ContextVar[Origin] = ContextVar("origin", default=Origin())


def current_origin() -> Origin:
    """Return the origin of the work at hand."""
    return _origin.get()


@contextmanager
def origin(**changes: Any) -> Iterator[Origin]:
    """Set some fields of the origin for the enclosed work."""
    token = enter(replace(_origin.get(), **changes))
    try:
        yield _origin.get()
    finally:
        leave(token)


def enter(where: Origin) -> Token[Origin]:
    """Work under another origin until `leave`, which takes what this returns."""
    return _origin.set(where)


def leave(token: Token[Origin]) -> None:
    """Go back to the origin that was before."""
    _origin.reset(token)


def name_actor(actor: str) -> None:
    """Say who is behind the request at hand, once that is known."""
    _origin.set(replace(_origin.get(), actor=actor))


def new_request_id(given: str) -> str:
    """Return the caller's own id where it is well-formed, else a new one of 32 hex digits."""
    if given and _WELL_FORMED.fullmatch(given):
        return given
    # Unique is enough, nobody has to be kept from guessing it; a fork begins a series of its own.
    return f"{random.getrandbits(128):032x}"  # noqa: S311


class OriginMiddleware:
    """Give each request an id (the caller's own where it is well-formed) and name its user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = new_request_id(request.headers.get("X-Request-ID", ""))
        request.META[REQUEST_ID] = request_id  # for what is said of it later on
        channel = "api" if request.path.startswith("/internal/") else "admin"
        with origin(channel=channel, actor="", request_id=request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        # By now the user is known; API keys name themselves.
        user = getattr(request, "user", None)
        if _origin.get().channel == "admin" and request.path.startswith("/admin/"):
            name_actor(user.get_username() if user is not None else "")

"""Names who reads in each request: an API key, a session, or what the header X-Reader says."""

import hashlib
from contextvars import Token
from time import monotonic
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from optimizer.balancer.engine.lsn import LAST, from_key, to_key
from optimizer.balancer.engine.reader import Reader
from optimizer.balancer.services.reads import positions, readers

# Which of a caller's readers it is, any text. Names need no proof: who takes another's reads what
# it would read anyway, at most from the primary.
READER_HEADER = "X-Reader"
# What a response's reader has written, for a caller to send back where it keeps no cookies.
AFTER_HEADER, AFTER_COOKIE = "X-Read-After", "tuneup_read_after"
_KEY = "Bearer tu_"
_KEY_LENGTH = len(_KEY) + 8


@sync_and_async_middleware
def balance_reads(get_response):  # type: ignore[no-untyped-def]
    """Balance the reads of each request over the replicas, if there are any.

    Place it before what reads the database, as sessions do.
    """
    if not settings.DATABASE_REPLICAS:
        raise MiddlewareNotUsed

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            one, token = _begin(request)
            is_streaming = False
            try:
                response: HttpResponseBase = await get_response(request)
                is_streaming = response.streaming
                await sync_to_async(_end)(one, request, response)
                return response
            finally:
                if not is_streaming:
                    readers.current.reset(token)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        one, token = _begin(request)
        is_streaming = False
        try:
            response: HttpResponseBase = get_response(request)
            is_streaming = response.streaming
            _end(one, request, response)
            return response
        finally:
            if not is_streaming:  # else its reads and writes come while it is sent
                readers.current.reset(token)

    return synchronous


def _begin(request: HttpRequest) -> tuple[Reader, Token[Reader | None]]:
    one = Reader(_name(request), _after(request), monotonic)
    return one, readers.current.set(one)


def _name(request: HttpRequest) -> str:
    own = _digest(given) if (given := request.headers.get(READER_HEADER, "")) else ""
    key = request.headers.get("Authorization", "")
    if key.startswith(_KEY):
        return f"key:{key[len(_KEY) : _KEY_LENGTH]}:{own}"
    if session := request.COOKIES.get(settings.SESSION_COOKIE_NAME):
        return _of_session(session)
    return f"reader:{own}" if own else ""


def _of_session(key: str) -> str:
    return f"session:{_digest(key)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]


def _after(request: HttpRequest) -> int:
    given = [request.headers.get(AFTER_HEADER), request.COOKIES.get(AFTER_COOKIE)]
    # What cannot be read may have been anything: then only the primary will do.
    return max((LAST if (at := from_key(one)) is None else at for one in given if one), default=0)


def _end(one: Reader, request: HttpRequest, response: Any) -> None:
    session = getattr(request, "session", None)
    names = [_of_session(session.session_key)] if session and session.session_key else []
    if response.streaming:
        response._resource_closers.append(lambda: _end_of_stream(one, names))
    if not one.has_written:
        return
    if readers.finish(one, *names):
        text, seconds = to_key(one.required), positions.kept_seconds()
        response.headers[AFTER_HEADER] = text
    else:  # the database went away, and did not say where it was
        text, seconds = to_key(LAST), positions.floor_seconds()
    response.set_cookie(
        AFTER_COOKIE,
        text,
        max_age=round(seconds),
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def _end_of_stream(one: Reader, names: list[str]) -> None:
    readers.current.set(None)
    readers.finish(one, *names)

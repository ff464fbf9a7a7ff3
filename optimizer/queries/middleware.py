"""Watches the queries of each request."""

from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from optimizer.queries.live import queries
from optimizer.queries.services import watching
from optimizer.queries.services.watching import Watched


@sync_and_async_middleware
def watch_queries(get_response):  # type: ignore[no-untyped-def]
    """Watch each request, from the other middleware on to the end of its response.

    Place it early: what stands before it is not watched.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            watched = _begin(request)
            if watched is None:
                return await get_response(request)  # type: ignore[no-any-return]
            try:
                return await get_response(request)  # type: ignore[no-any-return]
            finally:
                _end(watched, request)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        watched = _begin(request)
        if watched is None:
            return get_response(request)  # type: ignore[no-any-return]
        response: HttpResponseBase | None = None
        try:
            response = get_response(request)
        finally:
            if response is None or not response.streaming:
                _end(watched, request)
        if response.streaming:  # its queries come while it is sent
            closers: Any = response
            closers._resource_closers.append(lambda: _end(watched, request))
        return response

    return synchronous


def _begin(request: HttpRequest) -> Watched | None:
    if queries.peek().admins_only and settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    return watching.begin("", "request")


def _end(watched: Watched, request: HttpRequest) -> None:
    match = request.resolver_match
    watched.unit.name = f"{request.method} /{match.route}" if match else f"{request.method} (none)"
    keep = True
    if watched.settings.admins_only:
        # Only as it is known by now: to ask would be a query of ours.
        user = getattr(request, "_cached_user", None) or getattr(request, "_acached_user", None)
        keep = bool(getattr(user, "is_staff", False))
    watching.end(watched, keep=keep)

"""Tells a holder of a key how many queries an answer has cost, where he asks for it."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse

from optimizer.control.bearer import identity_of

WANTED, COUNTED = "X-Count-Queries", "X-Query-Count"
_SCOPE = "operations"


class QueryCountMiddleware:
    """Count the queries of a request that has the header `X-Count-Queries`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if WANTED not in request.headers:
            return self.get_response(request)
        identity = identity_of(request)
        if identity is None or not identity.may(_SCOPE):
            return self.get_response(request)
        count = 0

        def counted(execute: Callable[..., Any], *args: Any) -> Any:
            nonlocal count
            count += 1
            return execute(*args)

        with ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(counted))
            response = self.get_response(request)
        response[COUNTED] = str(count)
        return response

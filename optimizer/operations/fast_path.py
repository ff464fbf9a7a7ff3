"""A bare WSGI path before Django's handler, for calls where Django's own cost is the larger part.

It answers only what is plain: a POST with a good key and a well-formed body, to a route that a
component has registered, and a GET of what is polled. All else goes to Django, whose errors and
walls are the only ones; what is counted is counted in the same metrics.
"""

import io
import logging
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.module_loading import import_string

from optimizer.control import registry
from optimizer.control.origin import new_request_id
from optimizer.operations.fast_answers import ANSWERS, Answer, may
from optimizer.operations.live import operations
from optimizer.operations.metrics import count_request

Handler = Callable[[bytes], Answer | None]
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_BROKEN: Answer = (
    500,
    [("Content-Type", "application/problem+json")],
    b'{"type": "about:blank", "title": "Internal Server Error", "status": 500}',
)
logger = logging.getLogger(__name__)


class FastPath:
    """A WSGI application in front of Django's."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._routes: dict[str, tuple[str, str, Handler]] = {}
        for component in registry.components():
            if component.fast_routes:
                for name, handler in import_string(component.fast_routes).items():
                    route = f"internal/v1/{component.name}/{name}"
                    self._routes[f"/{route}"] = (route, component.name, handler)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in ANSWERS:
            return self._get(path, environ, start_response)
        found = self._routes.get(path)
        if found is None:
            return self._application(environ, start_response)
        started = time.perf_counter()
        route, scope, handler = found
        length = environ.get("CONTENT_LENGTH") or ""
        if not _is_plain_post(environ, length) or not may(environ, scope):
            return self._application(environ, start_response)
        body = environ["wsgi.input"].read(int(length))
        try:
            answer = handler(body) if rb"\u0000" not in body else None
        except Exception:  # as in Django: logged, and answered
            logger.exception("%s failed", route)
            answer = _BROKEN
        if answer is None:
            environ["wsgi.input"] = io.BytesIO(body)
            return self._application(environ, start_response)
        return _send(answer, "POST", route, environ, start_response, started)

    def _get(self, path: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started = time.perf_counter()
        if not _is_plain_get(environ) or (answer := ANSWERS[path](environ)) is None:
            return self._application(environ, start_response)
        return _send(answer, "GET", path[1:], environ, start_response, started)


def _send(
    answer: Answer,
    method: str,
    route: str,
    environ: dict[str, Any],
    start_response: Any,
    started: float,
) -> tuple[bytes]:
    status, headers, content = answer
    headers += (
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-ID", new_request_id(environ.get("HTTP_X_REQUEST_ID", ""))),
    )
    start_response(_STATUS[status], headers)
    count_request(method, route, status, time.perf_counter() - started)
    return (content,)


def _is_plain_get(environ: dict[str, Any]) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET"
        and operations.peek().fast_answers
        and not environ.get("QUERY_STRING")
        and "HTTP_X_COUNT_QUERIES" not in environ
        and _is_secure_enough(environ)
        and _host_is_allowed(environ.get("HTTP_HOST", ""))
    )


def _is_plain_post(environ: dict[str, Any], length: str) -> bool:
    """Say whether none of Django's own checks would have anything to say."""
    return (
        environ["REQUEST_METHOD"] == "POST"
        and environ.get("CONTENT_TYPE") == "application/json"
        and length.isdecimal()
        and 0 < int(length) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        and "HTTP_TRANSFER_ENCODING" not in environ
        and not environ.get("QUERY_STRING")
        and _is_secure_enough(environ)
        and _host_is_allowed(environ.get("HTTP_HOST", ""))
        and not operations.current().keyed_rate_per_minute
    )


def _is_secure_enough(environ: dict[str, Any]) -> bool:
    """Say whether Django would not redirect to HTTPS."""
    if not settings.SECURE_SSL_REDIRECT or environ["wsgi.url_scheme"] == "https":
        return True
    name, value = settings.SECURE_PROXY_SSL_HEADER or ("", "")
    return bool(value) and environ.get(name) == value


@lru_cache(maxsize=64)
def _host_is_allowed(host: str) -> bool:
    domain, _ = split_domain_port(host)
    allowed: bool = validate_host(domain, settings.ALLOWED_HOSTS)
    return bool(domain) and allowed

"""Forward a call to one of a group's backends, and its answer back, part by part."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from optimizer.balancer import live
from optimizer.balancer.engine.addresses import BadAddress
from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.hashing import key_bytes
from optimizer.balancer.services import headers, places
from optimizer.balancer.services.balancing import balancer
from optimizer.balancer.services.http import client

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110: idempotent
_TRY_ELSEWHERE = frozenset({502, 503, 504})
_NOT_A_FAILURE = frozenset({501, 505})  # the call's own fault
_PATH_SAFE = "/:@!$&'()*+,;=~-._"
_PART_BYTES = 64 * 1024


class Refused(Exception):
    """A call that cannot be forwarded as it is; `field` names what is wrong with it."""

    def __init__(self, field: str, says: str) -> None:
        super().__init__(f"{field} {says}")
        self.field, self.says = field, says


class SwitchedOff(Exception):
    """Nothing is forwarded, because an admin wants it so."""


class NotAnswered(Exception):
    """No backend that was tried has answered; `timed_out` says that the last one was too slow."""

    def __init__(self, tried: list[str], error: Exception) -> None:
        super().__init__(f"{', '.join(tried)}: {type(error).__name__}: {error}")
        self.timed_out = isinstance(error, httpx.TimeoutException)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be forwarded; `path` is below the backend's address, decoded."""

    method: str
    path: str
    query: str
    headers: headers.Headers
    body: bytes
    key: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether it may be sent twice."""
        return self.method in SAFE or any(
            name.lower() == "idempotency-key" for name, _ in self.headers
        )


class Answer:
    """A backend's answer; reading `parts` to the end, or closing them, ends the call."""

    def __init__(self, group: Group, endpoint: Endpoint, seconds: float, answer: httpx.Response):
        self.backend, self.status = endpoint.name, answer.status_code
        self.headers = headers.to_caller(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw
        )
        self._group, self._endpoint, self._answer = group, endpoint, answer
        self._seconds, self._failed = seconds, is_failure(answer.status_code)
        self._is_open = True

    def parts(self) -> Iterator[bytes]:
        """Give the body as it comes, encoded as the backend sent it."""
        try:
            yield from self._answer.iter_raw(_PART_BYTES)
        except httpx.HTTPError:
            self._failed = True
            raise  # the caller must see that something is missing
        finally:
            self.close()

    def close(self) -> None:
        """Count the call, with the time until its answer began."""
        if self._is_open:
            self._is_open = False
            self._answer.close()
            self._group.done(self._endpoint, self._seconds, failed=self._failed)


def forward(name: str, request: Request) -> Answer:
    """Send a call to a backend, and on to another one where that is safe.

    It is, when no connection was made; and for a call that may be sent twice also when the backend
    did not answer, or with 502, 503 or 504. Raises Refused, SwitchedOff, NotAnswered, UnknownGroup,
    Unavailable.
    """
    settings = live.balancer.current()
    if not settings.forwards:
        raise SwitchedOff
    group = balancer.group(name)
    if group.settings.kind != "http":
        raise Refused("group", "must be of HTTP backends")
    if len(request.body) > settings.max_body_bytes:
        raise Refused("body", f"may have up to {settings.max_body_bytes} bytes")
    if headers.is_loop(request.headers):
        raise Refused("via", "says that the call was forwarded here before")
    target, sent = target_of(request), headers.to_backend(request.headers)
    sent.append(("Via", f"1.1 {headers.MARK}"))
    tried: list[str] = []
    while True:
        endpoint = group.begin(key_bytes(request.key), tuple(tried))
        tried.append(endpoint.name)
        began = group.clock()
        try:
            answer = _send(group, endpoint, request, target, sent)
        except (httpx.HTTPError, httpx.InvalidURL, BadAddress, OSError) as error:
            group.done(endpoint, group.clock() - began, failed=True)
            unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | BadAddress)
            if (unsent or request.is_safe) and balancer.may_retry(group, len(tried)):
                continue
            raise NotAnswered(tried, error) from error
        except BaseException:
            group.drop(endpoint)
            raise
        found = Answer(group, endpoint, group.clock() - began, answer)
        goes_on = found.status in _TRY_ELSEWHERE and request.is_safe
        if goes_on and balancer.may_retry(group, len(tried)):
            found.close()
            continue
        return found


def _send(
    group: Group, endpoint: Endpoint, request: Request, target: str, sent: headers.Headers
) -> httpx.Response:
    place = places.place_of("http", endpoint.address)
    url, own, extensions = place.request(target)
    settings = group.settings
    timeout = httpx.Timeout(settings.timeout_seconds, connect=settings.connect_timeout_seconds)
    made = httpx.Request(
        request.method,
        url,
        headers=[*own.items(), *sent],
        content=request.body or None,
        extensions={**extensions, "timeout": timeout.as_dict()},
    )
    return client().send(made, stream=True)


def target_of(request: Request) -> str:
    """Return path and query as they are sent. Raises Refused for a path that leads elsewhere."""
    path = request.path
    if any(part in (".", "..") for part in path.split("/")):
        raise Refused("path", "must not have the parts . or ..")
    if "\\" in path or not path.isprintable():
        raise Refused("path", "must not have backslashes or control characters")
    quoted = "/" + quote(path.lstrip("/"), safe=_PATH_SAFE)
    return f"{quoted}?{request.query}" if request.query else quoted


def is_failure(status: int) -> bool:
    """Say whether a status speaks against the backend."""
    return status >= 500 and status not in _NOT_A_FAILURE

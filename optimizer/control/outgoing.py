"""Requests to the addresses that admins give; what is read of their answers has a bound."""

import os
import threading
import time
from dataclasses import dataclass

import httpx

from optimizer.control import ports

_MOST_BYTES = 64 * 1024  # of an answer that are read; what is longer ends the connection
_TOLD_BYTES = 300
_MOST_RETRY_SECONDS = 3600.0
_MOST_PORT = 65_535
BALANCED = "balancer"  # the scheme of an address that is a group
_FAILED = 500  # from this status on it is the backend's fault


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's status, what it says in short, and how long it asks to be left alone."""

    status: int
    says: str
    retry_after_seconds: float

    @property
    def error(self) -> str:
        """What went wrong, "" where nothing did."""
        return "" if 200 <= self.status < 300 else self.says


class _Client:
    """One pool of connections a process, made when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def get(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(follow_redirects=False)
            return self._client


_client = _Client()


def why_not(url: str) -> str:
    """Return why nothing can be sent to an address, "" where nothing speaks against it."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        return str(error)
    if parsed.scheme not in ("http", "https", BALANCED):
        return "it must begin with http://, https:// or balancer://"
    if not parsed.host:
        return "it names no host"
    return "" if (parsed.port or 0) <= _MOST_PORT else f"its port is above {_MOST_PORT}"


def post(url: str, body: bytes, headers: dict[str, str], *, timeout_seconds: float) -> Answer:
    """Send JSON to an address, or to a backend of a group: balancer://group/path.

    Raises httpx.HTTPError and httpx.InvalidURL; LookupError for an unknown group, and
    ConnectionError where it has no backend left.
    """
    parsed = httpx.URL(url)
    if parsed.scheme != BALANCED:
        return _post(url, body, headers, timeout_seconds)
    with ports.backends().acquire(parsed.host) as backend:
        target = f"{backend.address.rstrip('/')}{parsed.raw_path.decode()}"
        answer = _post(target, body, headers, timeout_seconds)
        if answer.status >= _FAILED:
            backend.fail()
        return answer


def _post(url: str, body: bytes, headers: dict[str, str], timeout_seconds: float) -> Answer:
    until = time.monotonic() + timeout_seconds
    sent = {
        "Content-Type": "application/json",
        "User-Agent": "tuneup",
        "Accept-Encoding": "identity",
    }
    with _client.get().stream(
        "POST", url, content=body, headers=sent | headers, timeout=timeout_seconds
    ) as answer:
        text = _beginning(answer, until)
        says = f"{answer.status_code} {answer.reason_phrase}: {text}".removesuffix(": ")
        return Answer(answer.status_code, says, _retry_after(answer))


def _beginning(answer: httpx.Response, until: float) -> str:
    """Return how an answer begins; it is read to its end, for the next request, if that is near."""
    beginning, size = b"", 0
    try:
        for part in answer.iter_raw():
            beginning += part[: _TOLD_BYTES - len(beginning)]
            size += len(part)
            if size > _MOST_BYTES or time.monotonic() > until:
                break
    except httpx.HTTPError:
        pass  # its status says what has become of the request
    # Whatever its charset: there are some that no text can be stored of.
    return beginning.decode("utf-8", "replace")


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return min(float(text), _MOST_RETRY_SECONDS) if text.isdecimal() else 0.0


def _after_fork() -> None:
    global _client
    _client = _Client()


os.register_at_fork(after_in_child=_after_fork)

"""The two clients: the same calls, one blocking and one for asyncio."""

from types import TracebackType
from typing import Any, Self

import httpx

from optimizer.client.protocol import Call, Decision, Unavailable, check_call, read_decision

DEFAULT_TIMEOUT_SECONDS = 2.0
# A refused or failed connect sent nothing, so it is safe to try again, whatever the call.
CONNECT_RETRIES = 1


def _options(base_url: str, key: str, timeout_seconds: float) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "headers": {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        "timeout": timeout_seconds,
    }


def _limits(max_connections: int) -> httpx.Limits:
    return httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)


class Tuneup:
    """Call Tuneup from threads; one client serves all of them and keeps its connections."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_connections: int = 20,
    ) -> None:
        transport = httpx.HTTPTransport(retries=CONNECT_RETRIES, limits=_limits(max_connections))
        options = _options(base_url, key, timeout_seconds)
        self._http = httpx.Client(transport=transport, **options)

    def check(self, subject: str, *, cost: int = 1) -> Decision:
        """Spend `cost` tokens of the subject's bucket if they are there.

        A denial is a decision, not an error. Raises Unavailable when no answer came (the tokens may
        be spent, so the call is not repeated), and ApiError when the server refused.
        """
        response = self._send(check_call(subject, cost))
        return read_decision(response.status_code, response.content, response.headers)

    def _send(self, call: Call) -> httpx.Response:
        try:
            return self._http.request(call.method, call.path, content=call.body)
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncTuneup:
    """Call Tuneup from asyncio; one client serves all tasks and keeps its connections."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_connections: int = 20,
    ) -> None:
        transport = httpx.AsyncHTTPTransport(
            retries=CONNECT_RETRIES, limits=_limits(max_connections)
        )
        options = _options(base_url, key, timeout_seconds)
        self._http = httpx.AsyncClient(transport=transport, **options)

    async def check(self, subject: str, *, cost: int = 1) -> Decision:
        """Spend `cost` tokens of the subject's bucket if they are there; see `Tuneup.check`."""
        response = await self._send(check_call(subject, cost))
        return read_decision(response.status_code, response.content, response.headers)

    async def _send(self, call: Call) -> httpx.Response:
        try:
            return await self._http.request(call.method, call.path, content=call.body)
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

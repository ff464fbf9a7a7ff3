"""The two clients: the same calls, one blocking and one for asyncio."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from optimizer.client import protocol
from optimizer.client.async_batches import AsyncBatches
from optimizer.client.batches import DEFAULT_SUBMIT_SECONDS, Batches
from optimizer.client.cache import AsyncCache, Cache
from optimizer.client.pools import AsyncPools, Pools
from optimizer.client.protocol import (
    Call,
    Charge,
    Consumer,
    Decision,
    Standing,
    Unavailable,
    Verdict,
    read_answer,
)
from optimizer.client.queries import AsyncQueries, Queries

if TYPE_CHECKING:
    from optimizer.client.async_balancer import AsyncBalancer
    from optimizer.client.balancer import Balancer

T = TypeVar("T")
Charges = Iterable[Charge | Sequence[Any]]  # a Charge, or a tuple of its fields

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


def _timeout(call: Call[Any]) -> Any:
    own = call.timeout_seconds
    return httpx.USE_CLIENT_DEFAULT if own is None else own


class Tuneup:
    """Call Tuneup from threads; one client serves all of them and keeps its connections.

    The limiter's calls are its own, the cache's are those of `cache`, the query optimizer's those
    of `queries`, the batch processor's those of `batches`, the connection pools' those of `pools`;
    `submit_seconds` is how long one submit of a batch may take with all its repetitions.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        max_connections: int = 20,
        submit_seconds: float = DEFAULT_SUBMIT_SECONDS,
    ) -> None:
        transport = httpx.HTTPTransport(retries=CONNECT_RETRIES, limits=_limits(max_connections))
        options = _options(base_url, key, timeout_seconds)
        self._http = httpx.Client(transport=transport, **options)
        self.cache = Cache(self._send)
        self.queries = Queries(self._send)
        self.batches = Batches(self._send, submit_seconds)
        self.pools = Pools(self._send)

    @cached_property
    def balancer(self) -> "Balancer":
        """The load balancer, which picks in this process."""
        from optimizer.client.balancer import Balancer  # it needs xxhash, all else does not

        return Balancer(self._send)

    def check(self, subject: str, *, cost: int = 1, scope: str = "") -> Decision:
        """Spend `cost` tokens of the subject's bucket if they are there.

        A denial is a decision, not an error. Raises Unavailable when no answer came (the tokens may
        be spent, so the call is not repeated), and ApiError when the server refused.
        """
        return self._send(protocol.check(subject, cost, scope))

    def check_many(self, charges: Charges) -> list[Decision]:
        """Decide up to 1000 charges, each for itself; raises as `check` does."""
        return self._send(protocol.check_many(protocol.charges_of(charges)))

    def check_all(self, charges: Charges) -> Verdict:
        """Spend all charges or none; raises as `check` does."""
        return self._send(protocol.check_all(protocol.charges_of(charges)))

    def peek(self, subject: str, *, cost: int = 1, scope: str = "") -> Decision:
        """Say what a check would be answered, and spend nothing."""
        return self._send(protocol.peek(subject, cost, scope))

    def reset(self, subject: str, *, scope: str = "") -> None:
        """Fill the bucket and begin its quota anew."""
        self._send(protocol.reset(subject, scope))

    def grant(self, subject: str, tokens: int, *, scope: str = "") -> int:
        """Give tokens, even beyond the capacity; return how many are there."""
        return self._send(protocol.give("grant", subject, tokens, scope))

    def refund(self, subject: str, tokens: int = 1, *, scope: str = "") -> int:
        """Put back what was spent in vain; return how many tokens are there."""
        return self._send(protocol.give("refund", subject, tokens, scope))

    def release(self, subject: str, slot: str, *, scope: str = "") -> None:
        """End a call of a tier that limits calls at once."""
        self._send(protocol.release(subject, slot, scope))

    def status(self, subject: str) -> Standing:
        """Return the subject's buckets in all scopes."""
        return self._send(protocol.status(subject))

    def top(self, count: int = 20) -> list[Consumer]:
        """Return who made the most calls in about the last hour."""
        return self._send(protocol.top(count))

    def assign(
        self,
        subject: str,
        *,
        tier: str | None = None,
        access: str | None = None,
        expires_after_seconds: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Give a subject a tier, or a place on the allow or deny list (`access`)."""
        self._send(
            protocol.assign(
                subject,
                {
                    "tier": tier,
                    "access": access,
                    "expires_after_seconds": expires_after_seconds,
                    "reason": reason,
                },
            )
        )

    def unassign(self, subject: str) -> None:
        """Let the subject be treated as everybody else."""
        self._send(protocol.unassign(subject))

    def _send(self, call: Call[T]) -> T:
        try:
            response = self._http.request(
                call.method, call.path, content=call.body, timeout=_timeout(call)
            )
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return read_answer(call, response.status_code, response.content, response.headers)

    def close(self) -> None:
        """Close the connections."""
        if "balancer" in vars(self):
            self.balancer.close()
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
        submit_seconds: float = DEFAULT_SUBMIT_SECONDS,
    ) -> None:
        transport = httpx.AsyncHTTPTransport(
            retries=CONNECT_RETRIES, limits=_limits(max_connections)
        )
        options = _options(base_url, key, timeout_seconds)
        self._http = httpx.AsyncClient(transport=transport, **options)
        self.cache = AsyncCache(self._send)
        self.queries = AsyncQueries(self._send)
        self.batches = AsyncBatches(self._send, submit_seconds)
        self.pools = AsyncPools(self._send)

    @cached_property
    def balancer(self) -> "AsyncBalancer":
        """The load balancer, which picks in this process."""
        from optimizer.client.async_balancer import AsyncBalancer

        return AsyncBalancer(self._send)

    async def check(self, subject: str, *, cost: int = 1, scope: str = "") -> Decision:
        """Spend `cost` tokens of the subject's bucket if they are there; see `Tuneup.check`."""
        return await self._send(protocol.check(subject, cost, scope))

    async def check_many(self, charges: Charges) -> list[Decision]:
        """Decide up to 1000 charges, each for itself; raises as `check` does."""
        return await self._send(protocol.check_many(protocol.charges_of(charges)))

    async def check_all(self, charges: Charges) -> Verdict:
        """Spend all charges or none; raises as `check` does."""
        return await self._send(protocol.check_all(protocol.charges_of(charges)))

    async def peek(self, subject: str, *, cost: int = 1, scope: str = "") -> Decision:
        """Say what a check would be answered, and spend nothing."""
        return await self._send(protocol.peek(subject, cost, scope))

    async def reset(self, subject: str, *, scope: str = "") -> None:
        """Fill the bucket and begin its quota anew."""
        await self._send(protocol.reset(subject, scope))

    async def grant(self, subject: str, tokens: int, *, scope: str = "") -> int:
        """Give tokens, even beyond the capacity; return how many are there."""
        return await self._send(protocol.give("grant", subject, tokens, scope))

    async def refund(self, subject: str, tokens: int = 1, *, scope: str = "") -> int:
        """Put back what was spent in vain; return how many tokens are there."""
        return await self._send(protocol.give("refund", subject, tokens, scope))

    async def release(self, subject: str, slot: str, *, scope: str = "") -> None:
        """End a call of a tier that limits calls at once."""
        await self._send(protocol.release(subject, slot, scope))

    async def status(self, subject: str) -> Standing:
        """Return the subject's buckets in all scopes."""
        return await self._send(protocol.status(subject))

    async def top(self, count: int = 20) -> list[Consumer]:
        """Return who made the most calls in about the last hour."""
        return await self._send(protocol.top(count))

    async def assign(
        self,
        subject: str,
        *,
        tier: str | None = None,
        access: str | None = None,
        expires_after_seconds: int | None = None,
        reason: str | None = None,
    ) -> None:
        """Give a subject a tier, or a place on the allow or deny list (`access`)."""
        await self._send(
            protocol.assign(
                subject,
                {
                    "tier": tier,
                    "access": access,
                    "expires_after_seconds": expires_after_seconds,
                    "reason": reason,
                },
            )
        )

    async def unassign(self, subject: str) -> None:
        """Let the subject be treated as everybody else."""
        await self._send(protocol.unassign(subject))

    async def _send(self, call: Call[T]) -> T:
        try:
            response = await self._http.request(
                call.method, call.path, content=call.body, timeout=_timeout(call)
            )
        except httpx.TransportError as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        return read_answer(call, response.status_code, response.content, response.headers)

    async def aclose(self) -> None:
        """Close the connections."""
        if "balancer" in vars(self):
            await self.balancer.aclose()
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

"""The pools' part of the client: the calls as they go over the wire, and who makes them.

Calls raise as the limiter's do; `problem.type` is unknown-pool where there is none of that name.
"""

from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec

from optimizer.client.cache import AsyncSend, Send
from optimizer.client.protocol import ApiError, Call

T = TypeVar("T")


class PoolLimits(msgspec.Struct, frozen=True):
    """What holds in each process; `suspended_until` is in seconds since the epoch, 0 for never."""

    min_size: int
    max_size: int
    acquire_timeout_seconds: float
    idle_timeout_seconds: float
    max_lifetime_seconds: float
    lifetime_jitter_percent: int
    check_after_idle_seconds: float
    leak_threshold_seconds: float
    generation: int
    suspended_until: float


class PoolGauges(msgspec.Struct, frozen=True):
    """How a pool stands, in connections and callers."""

    size: int
    idle: int
    in_use: int
    waiting: int


class PoolCounts(msgspec.Struct, frozen=True):
    """What happened since the processes began; percentiles are of about the last minute."""

    acquired: int
    queued: int
    timeouts: int
    created: int
    closed: int
    errors: int
    lost: int
    leaked: int
    reuse_ratio: float
    saved_seconds: float
    wait_p50_seconds: float
    wait_p99_seconds: float
    use_p50_seconds: float
    use_p99_seconds: float
    connect_p50_seconds: float


class Pool(msgspec.Struct, frozen=True):
    """A pool summed over the living processes; all of them may open `most` connections."""

    alias: str
    kind: Literal["postgresql", "sqlite", "redis", "mongodb", "http"]
    processes: int
    limits: PoolLimits
    gauges: PoolGauges
    counts: PoolCounts
    most: int


class PoolServer(msgspec.Struct, frozen=True):
    """How many connections a server takes, has for superusers, and has now."""

    limit: int
    reserved: int
    used: int


class PoolAdvice(msgspec.Struct, frozen=True):
    """Sizes in connections a process; 0 is what cannot be told yet."""

    busy: float
    little: int
    hikari: int
    deadlock_floor: int
    suggested: int
    because: str


class PoolProcess(msgspec.Struct, frozen=True):
    """One process's part of a pool."""

    name: str
    role: str
    max_size: int
    gauges: PoolGauges


class PoolDetail(Pool, frozen=True, kw_only=True):
    """A pool with its processes, its server, and how large it should be."""

    by_process: tuple[PoolProcess, ...]
    server: PoolServer | None
    advice: PoolAdvice


class PoolsAway(ApiError):
    """The database that the limits are kept in is away; try again."""


def _call(answer: type[T], path: str, body: bytes | None = None) -> Call[T]:
    decode = msgspec.json.Decoder(answer).decode

    def read(status: int, content: bytes) -> T:
        if status != 200:
            raise msgspec.ValidationError
        return decode(content)

    method = "GET" if body is None else "POST"
    where = f"/internal/v1/pools/{path}".rstrip("/")
    return Call(method, where, body or b"", read, PoolsAway)


def _of(alias: str, action: str = "", body: bytes | None = None) -> Call[PoolDetail]:
    return _call(PoolDetail, f"{quote(alias, safe='')}/{action}", body)


def _suspend(alias: str, seconds: float) -> Call[PoolDetail]:
    return _of(alias, "suspend", msgspec.json.encode({"seconds": float(seconds)}))


class Pools:
    """The connection pools: `client.pools`."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def all(self) -> tuple[Pool, ...]:
        """Return how every pool stands."""
        return self._send(_call(tuple[Pool, ...], ""))

    def get(self, alias: str) -> PoolDetail:
        """Return how a pool stands; ApiError with unknown-pool where there is none."""
        return self._send(_of(alias))

    def recycle(self, alias: str) -> PoolDetail:
        """Have every process replace all connections of a pool; raises as `get` does."""
        return self._send(_of(alias, "recycle", b""))

    def suspend(self, alias: str, seconds: float) -> PoolDetail:
        """Have callers wait for up to 300 seconds; InvalidFields for more."""
        return self._send(_suspend(alias, seconds))

    def resume(self, alias: str) -> PoolDetail:
        """End a suspension; raises as `get` does."""
        return self._send(_of(alias, "resume", b""))


class AsyncPools:
    """The connection pools, from asyncio; the same calls as `Pools` has."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def all(self) -> tuple[Pool, ...]:
        """Return how every pool stands."""
        return await self._send(_call(tuple[Pool, ...], ""))

    async def get(self, alias: str) -> PoolDetail:
        """Return how a pool stands; ApiError with unknown-pool where there is none."""
        return await self._send(_of(alias))

    async def recycle(self, alias: str) -> PoolDetail:
        """Have every process replace all connections of a pool; raises as `get` does."""
        return await self._send(_of(alias, "recycle", b""))

    async def suspend(self, alias: str, seconds: float) -> PoolDetail:
        """Have callers wait for up to 300 seconds; InvalidFields for more."""
        return await self._send(_suspend(alias, seconds))

    async def resume(self, alias: str) -> PoolDetail:
        """End a suspension; raises as `get` does."""
        return await self._send(_of(alias, "resume", b""))

"""Redis for every component: one client with a time budget, behind one circuit breaker a process.

Nothing here blocks longer than `REDIS_TIMEOUT_SECONDS`; once the breaker is open a call is refused
at once, and a single probe finds out when Redis is back.
"""

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from optimizer.control import metrics, redis_urls
from optimizer.control.wire import AsyncWire, Part, Receiver, Wire

R = TypeVar("R")


class RedisAway(Exception):
    """Redis did not answer within its time budget, or the breaker is open."""


class CircuitBreaker:
    """Refuse calls after `failures` failures in a row; then let one probe each `open_seconds`.

    Source: M. Nygard, Release It!, "Circuit Breaker". States: "closed", "open", "half-open".
    """

    def __init__(
        self,
        *,
        failures: int = 2,
        open_seconds: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.failures, self.open_seconds = failures, open_seconds
        self._clock, self._jitter = clock, jitter
        self.reset()

    def reset(self) -> None:
        """Close the breaker and forget what was counted."""
        self._lock = threading.Lock()
        self._count = 0
        self._probe_at = 0.0
        self._open = False

    @property
    def state(self) -> str:
        if not self._open:
            return "closed"
        return "half-open" if self._clock() >= self._probe_at else "open"

    def allow(self) -> bool:
        """Say whether a call may go out now; of several callers after the pause only one may."""
        if not self._open:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        with self._lock:
            if now < self._probe_at:
                return False
            self._probe_at = now + self._pause()
            return True

    def succeeded(self) -> None:
        """Note a call that was answered."""
        if self._count or self._open:
            with self._lock:
                self._count, self._open = 0, False
            metrics.BREAKER_OPEN.set(0)

    def failed(self) -> None:
        """Note a call that was not."""
        with self._lock:
            self._count += 1
            if self._open or self._count >= self.failures:
                if not self._open:
                    metrics.BREAKER_OPENED.inc()
                    metrics.BREAKER_OPEN.set(1)
                self._open = True
                self._probe_at = self._clock() + self._pause()

    def _pause(self) -> float:
        # Jitter keeps many processes from probing a returning Redis in step.
        return self.open_seconds * (0.75 + 0.5 * self._jitter())


breaker = CircuitBreaker()
_client: redis.Redis | None = None
_wires: tuple[Wire | None, AsyncWire | None] | None = None


def is_cluster() -> bool:
    """Say whether keys live in several slots, so that no script sees them all."""
    return redis_urls.is_cluster(settings.REDIS_URL)


def new_client(**options: Any) -> redis.Redis:
    """Return a client of its own connection pool; `options` go to redis-py."""
    timeout, url = settings.REDIS_TIMEOUT_SECONDS, settings.REDIS_URL
    given: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A retry would double the time budget; the caller decides what a failure means.
        "retry": Retry(NoBackoff(), 0),
        **options,
    }
    if redis_urls.is_cluster(url):
        # It answers the same calls, but is none of redis.Redis's subclasses.
        cluster: Any = redis.RedisCluster.from_url(redis_urls.cluster_url(url), **given)
        found: redis.Redis = cluster
        return found
    if (watched := redis_urls.sentinels(url)) is not None:
        given |= {"password": watched.password, "db": watched.db}
        budget = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        manager: Any = Sentinel(watched.hosts, sentinel_kwargs=budget)  # type: ignore[no-untyped-call]
        master: redis.Redis = manager.master_for(watched.service, **given)
        return master
    return redis.Redis.from_url(url, **given)


def client() -> redis.Redis:
    """Return this process's shared client."""
    global _client
    if _client is None:
        _client = new_client()
    return _client


def call(function: Callable[[redis.Redis], R]) -> R:
    """Run `function` with the shared client within the time budget.

    Raises RedisAway when Redis does not answer, or at once while the breaker is open. An error
    that Redis itself replied (a wrong type, a missing script) passes through.
    """
    with guard:
        return function(client())


def server_time(r: redis.Redis) -> float:
    """Return Redis's clock, in seconds since the epoch; of a cluster, one node's."""
    seconds, microseconds = r.eval("return redis.call('TIME')", 1, "tuneup:{control}:clock")
    return int(seconds) + int(microseconds) / 1e6


def execute(*parts: Part) -> Any:
    """Send one command the short way and return its reply as it came; raises as `call` does."""
    with guard:
        wire, _ = _wires or _new_wires()
        if wire is not None:
            return wire.execute(parts)
        other: Any = client()
        return other.execute_command(*parts)


def send(command: bytes) -> Any:
    """Send a command that `wire.pack` made, the short way alone; raises as `call` does."""
    wire, _ = _wires or _new_wires()
    if wire is None:
        raise TypeError("a packed command needs the short way")
    with guard:
        return wire.send(command)


def post(command: bytes, receiver: Receiver) -> None:
    """Send a packed command from asyncio; the receiver is told the reply, or what `call` raises."""
    _, wire = _wires or _new_wires()
    if wire is None:
        raise TypeError("a packed command needs the short way")
    try:
        guard.__enter__()
    except RedisAway as error:
        receiver.set_exception(error)
    else:
        wire.post(command, _Guarded(receiver))


class _Guarded:
    """A receiver behind the breaker."""

    __slots__ = ("_receiver",)

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def done(self) -> bool:
        return self._receiver.done()

    def set_result(self, reply: Any) -> None:
        breaker.succeeded()
        self._receiver.set_result(reply)

    def set_exception(self, error: BaseException) -> None:
        try:
            guard.__exit__(type(error), error, None)
        except RedisAway as away:
            error = away
        self._receiver.set_exception(error)


def has_wire() -> bool:
    """Say whether the short way leads to this Redis."""
    return (_wires or _new_wires())[0] is not None


async def aexecute(*parts: Part) -> Any:
    """Send one command from asyncio; raises as `call` does."""
    with guard:
        _, wire = _wires or _new_wires()
        if wire is not None:
            return await wire.execute(parts)
        other: Any = client()
        return await asyncio.to_thread(other.execute_command, *parts)


class Guard:
    """Ask the breaker before a call, and tell it what came of it."""

    def __enter__(self) -> None:
        if not breaker.allow():
            raise RedisAway("The circuit breaker is open.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None or isinstance(error, redis.ResponseError) and not isinstance(error, _AWAY):
            breaker.succeeded()  # an error reply is an answer too, if not the one hoped for
        elif isinstance(error, _AWAY):
            breaker.failed()
            raise RedisAway(str(error)) from error


guard = Guard()


def _new_wires() -> tuple[Wire | None, AsyncWire | None]:
    global _wires
    if urlsplit(settings.REDIS_URL).scheme in ("redis", "unix"):
        given = (settings.REDIS_URL, settings.REDIS_TIMEOUT_SECONDS)
        _wires = (Wire(*given), AsyncWire(*given))
    else:
        _wires = (None, None)
    return _wires


_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.BusyLoadingError,
    redis.ReadOnlyError,
    redis.AuthenticationError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.RedisClusterException,
    OSError,
)


def forget() -> None:
    """Drop this process's connections, so that the next call opens new ones."""
    global _client, _wires
    _client = _wires = None


def _after_fork() -> None:
    forget()
    breaker.reset()


os.register_at_fork(after_in_child=_after_fork)

"""Redis for every component: one client with a time budget, behind one circuit breaker a process.

Nothing here blocks longer than `REDIS_TIMEOUT_SECONDS`; once the breaker is open each call is
refused at once, while a thread of the process probes until Redis is back.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from optimizer.control import metrics, redis_urls
from optimizer.control.breaker import CircuitBreaker
from optimizer.control.wire import AsyncWire, Part, Receiver, Wire

R = TypeVar("R")


class RedisAway(Exception):
    """Redis did not answer within its time budget, or the breaker is open."""


def _probe() -> None:
    """Find out when Redis is back: no caller pays the time budget for it."""
    mine = breaker
    while mine.state != "closed":
        time.sleep(max(0.01, mine.probe_after_seconds))
        if not mine.allow():
            continue
        try:
            probing = new_client()
            probing.ping()
            probing.close()
        except _AWAY:
            mine.failed()
        except redis.RedisError:  # an answer too
            mine.succeeded()
        else:
            mine.succeeded()


def _opened() -> None:
    metrics.BREAKER_OPENED.inc()
    metrics.BREAKER_OPEN.set(1)
    with suppress(RuntimeError):  # the interpreter ends
        threading.Thread(target=_probe, name="tuneup-redis-probe", daemon=True).start()


def _closed() -> None:
    metrics.BREAKER_OPEN.set(0)


breaker = CircuitBreaker(on_open=_opened, on_close=_closed)
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
        if breaker.is_open:
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

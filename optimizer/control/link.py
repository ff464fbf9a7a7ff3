"""One Redis server as a process sees it: a client with a time budget, behind a circuit breaker.

Nothing here blocks longer than `REDIS_TIMEOUT_SECONDS`; once the breaker is open each call is
refused at once, while a thread of the process probes until Redis is back.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from django.conf import settings

from optimizer.control.breaker import CircuitBreaker
from optimizer.control.wire import AsyncWire, Part, Receiver, Wire

R = TypeVar("R")


class RedisAway(Exception):
    """Redis did not answer within its time budget, or the breaker is open."""


AWAY = (
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


class Link:
    """The way to one server.

    `url` and `new_client` are asked when a connection is opened; with the scheme redis or unix the
    short way (`wire`) is taken, else redis-py's client. `watch` is told when the breaker opens
    (True) and closes. `new_shared` makes the client that all threads share, where it is another.
    """

    def __init__(
        self,
        url: Callable[[], str],
        new_client: Callable[[], redis.Redis],
        watch: Callable[[bool], None] = lambda is_open: None,
        new_shared: Callable[[], redis.Redis] | None = None,
    ) -> None:
        self._url, self._new_client, self._watch = url, new_client, watch
        self._new_shared = new_shared or new_client
        self.breaker = CircuitBreaker(on_open=self._opened, on_close=lambda: watch(False))
        self.guard = Guard(self)
        self._client: redis.Redis | None = None
        self._wires: tuple[Wire | None, AsyncWire | None] | None = None

    def new_client(self) -> redis.Redis:
        """Return a client of its own connections."""
        return self._new_client()

    def client(self) -> redis.Redis:
        """Return this process's shared client."""
        if self._client is None:
            self._client = self._new_shared()
        return self._client

    def call(self, function: Callable[[redis.Redis], R]) -> R:
        """Run `function` with the shared client within the time budget.

        Raises RedisAway when Redis does not answer, or at once while the breaker is open. An error
        that Redis itself replied (a wrong type, a missing script) passes through.
        """
        with self.guard:
            return function(self.client())

    def execute(self, *parts: Part) -> Any:
        """Send one command the short way and return its reply as it came; raises as `call` does."""
        with self.guard:
            wire, _ = self._wires or self._new_wires()
            if wire is not None:
                return wire.execute(parts)
            other: Any = self.client()
            return other.execute_command(*parts)

    def send(self, command: bytes) -> Any:
        """Send a command that `wire.pack` made, the short way alone; raises as `call` does."""
        wire, _ = self._wires or self._new_wires()
        if wire is None:
            raise TypeError("a packed command needs the short way")
        with self.guard:
            return wire.send(command)

    def post(self, command: bytes, receiver: Receiver) -> None:
        """Send a packed command from asyncio; the receiver is told the reply or the error."""
        _, wire = self._wires or self._new_wires()
        if wire is None:
            raise TypeError("a packed command needs the short way")
        try:
            self.guard.__enter__()
        except RedisAway as error:
            receiver.set_exception(error)
        else:
            wire.post(command, _Guarded(receiver, self))

    async def aexecute(self, *parts: Part) -> Any:
        """Send one command from asyncio; raises as `call` does."""
        with self.guard:
            _, wire = self._wires or self._new_wires()
            if wire is not None:
                return await wire.execute(parts)
            other: Any = self.client()
            return await asyncio.to_thread(other.execute_command, *parts)

    def has_wire(self) -> bool:
        """Say whether the short way leads to this Redis."""
        return (self._wires or self._new_wires())[0] is not None

    def forget(self) -> None:
        """Drop this process's connections, so that the next call opens new ones."""
        self._client = self._wires = None

    def _new_wires(self) -> tuple[Wire | None, AsyncWire | None]:
        url = self._url()
        if urlsplit(url).scheme in ("redis", "unix"):
            given = (url, settings.REDIS_TIMEOUT_SECONDS)
            self._wires = (Wire(*given), AsyncWire(*given))
        else:
            self._wires = (None, None)
        return self._wires

    def _opened(self) -> None:
        self._watch(True)
        with suppress(RuntimeError):  # the interpreter ends
            threading.Thread(target=self._probe, name="tuneup-redis-probe", daemon=True).start()

    def _probe(self) -> None:
        """Find out when Redis is back: no caller pays the time budget for it."""
        mine = self.breaker
        while mine.state != "closed":
            time.sleep(max(0.01, mine.probe_after_seconds))
            if not mine.allow():
                continue
            try:
                probing = self._new_client()
                probing.ping()
                probing.close()
            except AWAY:
                mine.failed()
            except redis.RedisError:  # an answer too
                mine.succeeded()
            else:
                mine.succeeded()


class Guard:
    """Ask the breaker before a call, and tell it what came of it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __enter__(self) -> None:
        if self._link.breaker.is_open:
            raise RedisAway("The circuit breaker is open.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None or isinstance(error, redis.ResponseError) and not isinstance(error, AWAY):
            # An error reply is an answer too, if not the one hoped for.
            self._link.breaker.succeeded()
        elif isinstance(error, AWAY):
            self._link.breaker.failed()
            raise RedisAway(str(error)) from error


class _Guarded:
    """A receiver behind the breaker."""

    __slots__ = ("_link", "_receiver")

    def __init__(self, receiver: Receiver, link: Link) -> None:
        self._receiver, self._link = receiver, link

    def done(self) -> bool:
        return self._receiver.done()

    def set_result(self, reply: Any) -> None:
        self._link.breaker.succeeded()
        self._receiver.set_result(reply)

    def set_exception(self, error: BaseException) -> None:
        try:
            self._link.guard.__exit__(type(error), error, None)
        except RedisAway as away:
            error = away
        self._receiver.set_exception(error)

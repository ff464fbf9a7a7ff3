"""The short way to Redis: a command packed once, one write, one read, hiredis's reader.

redis-py connects, authenticates and selects the database; after that a call costs two system calls
and no more Python than it must. Only for plain TCP and Unix sockets: redis-py itself serves TLS,
Sentinel and Cluster.
"""

import asyncio
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable
from time import monotonic
from typing import Any, Protocol

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

Part = bytes | str | int | float
_IDLE_SECONDS = 0.1  # after so long a connection is looked at before it is used


def error_reply(text: str) -> Exception:
    """Return Redis's error reply as redis-py would raise it."""
    kind, _, rest = text.partition(" ")
    return _ERRORS.get(kind, redis.ResponseError)(rest if kind in _ERRORS else text)


_ERRORS: dict[str, type[redis.RedisError]] = {
    "NOSCRIPT": redis.exceptions.NoScriptError,
    "LOADING": redis.BusyLoadingError,
    "READONLY": redis.ReadOnlyError,
    "MASTERDOWN": redis.exceptions.MasterDownError,
    "NOAUTH": redis.AuthenticationError,
    "WRONGPASS": redis.AuthenticationError,
}


def pack(*parts: Part) -> bytes:
    """Return a command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(parts)  # type: ignore[arg-type]  # its stub says one part
    return packed


def new_reader() -> Any:
    return hiredis.Reader(protocolError=redis.InvalidResponse, replyError=error_reply)


class _Connection:
    """One socket that redis-py opened."""

    __slots__ = ("_opened", "reader", "sock", "used_at")

    def __init__(self, url: str, timeout_seconds: float) -> None:
        pool = redis.ConnectionPool.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # no pushes between the replies
        )
        opened: Any = pool.make_connection()
        opened.connect()
        self._opened = opened
        self.sock: socket.socket = opened._sock
        # The kernel keeps the time limit: Python's own would poll before each read and write.
        limit = struct.pack("ll", int(timeout_seconds), int(timeout_seconds % 1 * 1_000_000))
        self.sock.setblocking(True)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.reader = new_reader()
        self.used_at = monotonic()

    def close(self) -> None:
        self._opened.disconnect()

    def is_stale(self) -> bool:
        """Say whether something arrived that nobody asked for: the end of the connection."""
        poll = select.poll()  # unlike select() it takes any number of descriptors
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))


class Wire:
    """Blocking calls; each thread has a connection of its own, so nothing is locked.

    Not to be used on after a fork: the sockets are the parent's.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds
        self._mine = threading.local()

    def execute(self, parts: tuple[Part, ...]) -> Any:
        """Send one command and return its reply.

        Raises redis.ConnectionError, redis.TimeoutError, OSError, and what Redis itself replied.
        """
        return self.send(pack(*parts))

    def send(self, command: bytes) -> Any:
        """Send a command that was packed before; else as `execute`."""
        mine = self._mine
        connection: _Connection | None = getattr(mine, "connection", None)
        now = monotonic()
        if connection is None or now - connection.used_at >= _IDLE_SECONDS:
            connection = self._look_at(connection)
        connection.used_at = now
        reader, sock = connection.reader, connection.sock
        try:
            sock.sendall(command)
            while True:
                data = sock.recv(65536)
                if not data:
                    raise redis.ConnectionError("Redis closed the connection")
                reader.feed(data)
                reply = reader.gets()
                if reply is not False:
                    break
                if monotonic() - now > 2 * self._timeout_seconds:
                    raise redis.TimeoutError("Redis answers too slowly")
        except BaseException as error:
            # A reply may still come: this connection is of no use any more.
            mine.connection = None
            connection.close()
            if isinstance(error, BlockingIOError):
                raise redis.TimeoutError("Redis did not answer in time") from error
            raise
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _look_at(self, connection: _Connection | None) -> _Connection:
        """Return the idle connection if nothing came over it meanwhile, else a new one."""
        if connection is not None:
            if not connection.is_stale():
                return connection
            self._mine.connection = None  # the next line may raise
            connection.close()
        self._mine.connection = connection = _Connection(self._url, self._timeout_seconds)
        return connection


class Receiver(Protocol):
    """Who is told a reply: a future, or what looks like one."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...


class AsyncWire:
    """Calls from asyncio over one connection: all that a turn of the loop sends goes in one write.

    Replies come in the order of the commands, so a queue of futures tells whose each one is.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        self._timeout_seconds = timeout_seconds
        self._connections: dict[asyncio.AbstractEventLoop, asyncio.Future[_Multiplexed]] = {}
        self._ready: dict[asyncio.AbstractEventLoop, _Multiplexed] = {}

    async def execute(self, parts: tuple[Part, ...]) -> Any:
        """Send one command and return its reply; raises as `Wire.execute` does."""
        return await self.send(pack(*parts))

    def send(self, command: bytes) -> Awaitable[Any]:
        """Send a command that was packed before; else as `execute`."""
        connection = self._ready.get(asyncio.get_running_loop())
        if connection is not None and not connection.closed:
            return connection.send(command)
        return self._open_and_send(command)

    def post(self, command: bytes, receiver: Receiver) -> None:
        """Send a packed command now; the receiver is told the reply or the error.

        What other tasks of this turn have sent goes first.
        """
        connection = self._ready.get(asyncio.get_running_loop())
        if connection is not None and not connection.closed:
            connection.post(command, receiver)
            return

        def told(opening: asyncio.Task[Any]) -> None:
            if (error := opening.exception()) is not None:
                receiver.set_exception(error)
            else:
                receiver.set_result(opening.result())

        asyncio.ensure_future(self._open_and_send(command)).add_done_callback(told)

    async def _open_and_send(self, command: bytes) -> Any:
        connection = await self._open()
        self._ready = {one: it for one, it in self._ready.items() if not one.is_closed()}
        self._ready[asyncio.get_running_loop()] = connection
        return await connection.send(command)

    async def _open(self) -> "_Multiplexed":
        loop = asyncio.get_running_loop()
        opening = self._connections.get(loop)
        if opening is None or (opening.done() and not _usable(opening)):
            self._connections = {
                one: its for one, its in self._connections.items() if not one.is_closed()
            }
            opening = asyncio.ensure_future(self._connect(loop))
            self._connections[loop] = opening
        return opening.result() if opening.done() else await asyncio.shield(opening)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> "_Multiplexed":
        options = self._options

        def protocol() -> _Multiplexed:
            return _Multiplexed(loop, self._timeout_seconds)

        try:
            async with asyncio.timeout(self._timeout_seconds):
                if "path" in options:
                    _, connection = await loop.create_unix_connection(protocol, options["path"])
                else:
                    host, port = options.get("host", "localhost"), options.get("port", 6379)
                    _, connection = await loop.create_connection(protocol, host, port)
                if options.get("password"):
                    user = options.get("username") or "default"
                    await connection.send(pack("AUTH", user, options["password"]))
                if options.get("db"):
                    await connection.send(pack("SELECT", options["db"]))
        except TimeoutError as error:
            raise redis.TimeoutError("Redis did not answer in time") from error
        return connection


def _usable(opening: "asyncio.Future[_Multiplexed]") -> bool:
    return not opening.cancelled() and not opening.exception() and not opening.result().closed


class _Multiplexed(asyncio.Protocol):
    """One connection that all tasks of a loop share."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_seconds: float) -> None:
        self._loop, self._timeout_seconds = loop, timeout_seconds
        self._reader = new_reader()
        self._waiting: deque[tuple[Receiver, float]] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self.closed = False

    def send(self, command: bytes) -> "asyncio.Future[Any]":
        """Return a future of the reply."""
        future = self._loop.create_future()
        if self.closed:
            future.set_exception(redis.ConnectionError("Redis closed the connection"))
            return future
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._queue(command, future)
        return future

    def post(self, command: bytes, receiver: Receiver) -> None:
        self._queue(command, receiver)
        self._flush()

    def _queue(self, command: bytes, receiver: Receiver) -> None:
        self._unsent.append(command)
        self._waiting.append((receiver, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_seconds, self._look)

    def _flush(self) -> None:
        if self._unsent:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _look(self) -> None:
        """Give the connection up when the oldest command has waited too long."""
        self._timer = None
        if not self._waiting:
            return
        left = self._waiting[0][1] + self._timeout_seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._fail(redis.TimeoutError("Redis did not answer in time"))
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            receiver, _ = self._waiting.popleft()
            if receiver.done():  # its task was cancelled
                continue
            if isinstance(reply, Exception):
                receiver.set_exception(reply)
            else:
                receiver.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(redis.ConnectionError("Redis closed the connection"))

    def _fail(self, error: Exception) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            receiver, _ = self._waiting.popleft()
            if not receiver.done():
                receiver.set_exception(error)

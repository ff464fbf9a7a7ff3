"""The thread that hears what changed elsewhere: one a process and second tier."""

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from caching.engine.line import Line
from optimizer.control.wire import new_reader, pack

_RECONNECT_SECONDS = 0.2
_TURN_SECONDS = 0.25
_DEAD_SECONDS = 2.0
_GATHER_SECONDS = 0.0005
_PING = pack("PING")
logger = logging.getLogger(__name__)


class Backplane:
    """Keeps a line open on a channel. `turn` is called several times a second."""

    def __init__(
        self,
        new_client: Callable[[], redis.Redis],
        channel: str,
        line: Line,
        turn: Callable[[], None],
    ) -> None:
        self._new_client, self._channel = new_client, channel
        self.line, self._turn = line, turn
        self._thread: threading.Thread | None = None
        self._sock: socket.socket | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def ensure(self) -> None:
        """Start the thread if there is none, as after a fork."""
        with self._lock:
            if not self.alive:
                self._stopping = threading.Event()
                self._thread = threading.Thread(
                    target=self._run,
                    args=(self._stopping,),
                    name="tuneup-cache-backplane",
                    daemon=True,
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        with self._lock:  # one that is being started is started by then
            self._stopping.set()
            thread, self._thread = self._thread, None
        if thread is not None:
            self._wake()
            thread.join(timeout=2)

    def forget(self) -> None:
        """Know nothing of the thread that a fork has left behind."""
        self._thread, self._stopping, self._lock = None, threading.Event(), threading.Lock()
        self._sock = None

    def _wake(self) -> None:
        """End the wait for news, which else ends with the next turn."""
        sock = self._sock
        if sock is not None:
            with suppress(OSError):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self._turn()
                self._follow(stopping)
            except (redis.RedisError, OSError) as error:
                logger.debug("The line of the cache is cut: %s", error)
            except Exception:  # the thread outlives any one failure
                logger.exception("The line of the cache failed")
            self.line.lost()
            stopping.wait(_RECONNECT_SECONDS)

    def _follow(self, stopping: threading.Event) -> None:
        """Hear the news until the line is cut; copies are served only meanwhile."""
        connection = self._connect()
        try:
            sock, reader = connection._sock, new_reader()
            self._sock = sock
            asked_at = monotonic()
            sock.settimeout(settings.REDIS_TIMEOUT_SECONDS)
            sock.sendall(pack("SUBSCRIBE", self._channel))
            while reader.gets() is False:
                reader.feed(_received(sock))
            self.line.opened(asked_at)
            self._listen(sock, reader, stopping)
        finally:
            self._sock = None
            with suppress(redis.RedisError, OSError):
                connection.disconnect()

    def _listen(self, sock: socket.socket, reader: Any, stopping: threading.Event) -> None:
        # Long before that nothing is served any more; given up too early on a busy machine, all
        # copies would be lost.
        line, budget = self.line, max(_DEAD_SECONDS, settings.REDIS_TIMEOUT_SECONDS)
        asked_at, ping_at, turn_at = None, 0.0, 0.0
        while not stopping.is_set():
            now = monotonic()
            if asked_at is None and now >= ping_at:
                sock.sendall(_PING)
                asked_at = now
            if now >= turn_at:
                self._turn()
                turn_at = now + _TURN_SECONDS
            until = min(turn_at, ping_at if asked_at is None else asked_at + budget)
            sock.settimeout(max(0.001, until - now))
            try:
                reader.feed(_received(sock))
            except TimeoutError:
                # Looked at after the wait: on a busy machine the answer may be there by now.
                if asked_at is not None and monotonic() >= asked_at + budget:
                    return  # Redis hangs, or nothing comes through
                continue
            while (reply := reader.gets()) is not False:
                if reply[0] == b"message":
                    line.heard(reply[2])
                elif reply[0] == b"pong" and asked_at is not None:
                    line.confirmed(asked_at)
                    ping_at = asked_at + min(1.0, line.max_staleness_seconds / 3)
                    asked_at = None
            # What comes in quick succession is heard together: waking for each piece of news
            # would cost a writer more than its write.
            sleep(_GATHER_SECONDS)

    def _connect(self) -> Any:
        """Return a connection of its own, which never connects again by itself.

        What a silent reconnection had missed nobody would know.
        """
        pool: Any = self._new_client().connection_pool
        options = {**pool.connection_kwargs, "protocol": 2, "retry": Retry(NoBackoff(), 0)}
        connection = pool.connection_class(**options)
        connection.connect()
        return connection


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("Redis closed the connection")
    return data

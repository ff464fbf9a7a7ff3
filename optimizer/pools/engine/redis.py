"""Redis: redis-py's pool, which waits instead of raising when it is dry, and whose limits change.

A caller takes a place first (`FairSemaphore`), so the pool itself never has to refuse. The classes
are given by settings: `CONNECTION_POOL_CLASS` of django-redis, `REDIS_POOL_CLASS` of the kernel.
"""

import os
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any

import redis
from redis.connection import AbstractConnection
from redis.observability import recorder
from redis.sentinel import SentinelConnectionPool

from optimizer.pools.engine.base import lifetime_of, pools
from optimizer.pools.engine.leaks import Leak, Place, capture, stack_of_thread, trimmed
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.readable import Readable
from optimizer.pools.engine.semaphore import AcquireTimeout, FairSemaphore
from optimizer.pools.engine.statistics import Gauges, Statistics

_UNBOUNDED = 1_000_000  # connections: the semaphore is the bound


class _Tracked(AbstractConnection):
    """What is added to a connection of whatever kind; times are of the monotonic clock."""

    pool: "Callable[[], ManagedPool | None]" = staticmethod(lambda: None)  # made by others: none
    acquired_at = 0.0
    released_at = 0.0
    connected_at = 0.0
    lives_seconds = 0.0
    thread = 0
    stack: tuple[Place, ...] | None = None
    is_told = False
    readable: Readable | None = None

    def connect(self) -> None:
        if self.is_connected:
            return
        pool, started = self.pool(), monotonic()
        if pool is not None and self.connected_at:
            pool.statistics.lost += 1  # the server has ended it while it was idle
        try:
            super().connect()  # type: ignore[no-untyped-call]
        except Exception:
            if pool is not None:
                pool.statistics.errors += 1
            raise
        self.connected_at = monotonic()
        if pool is not None:
            pool.connected(self, self.connected_at - started)

    def is_quiet(self) -> bool:
        """Say whether it is open with nothing to read; where that is not sure, redis-py looks."""
        sock: Any = self._sock
        reader = getattr(self._parser, "_reader", None)  # hiredis's
        if sock is None or reader is None or reader.has_data():
            return False
        if self.readable is None or self.readable.fd != sock.fileno():
            if hasattr(sock, "pending"):  # TLS may hold something that was read already
                return False
            self.readable = Readable(sock.fileno())
        return not self.readable.now()

    def disconnect(self, *args: Any, **named: Any) -> None:
        # Not the parent's, whose remains a child collects after a fork.
        was_open = self.is_connected and self.pid == os.getpid()
        super().disconnect(*args, **named)  # type: ignore[no-untyped-call]
        if was_open and (pool := self.pool()) is not None:
            pool.disconnected()

    def retire(self) -> None:
        """Disconnect on our own account, so that it does not count as lost."""
        self.disconnect()
        self.connected_at = 0.0


class ManagedPool(redis.ConnectionPool):
    """A pool of one Redis; `pool_alias` is what admins know it by."""

    kind = "redis"

    def __init__(self, *arguments: Any, pool_alias: str = "redis", **options: Any) -> None:
        self.alias, self.statistics = pool_alias, Statistics()
        self._limits, self._places, self._open = Limits(), FairSemaphore(1), 0
        self._recycled_at = 0.0
        options["max_connections"] = _UNBOUNDED
        super().__init__(*arguments, **options)
        kind = self.connection_class
        self.connection_class = type(f"Tracked{kind.__name__}", (_Tracked, kind), {})
        pools.add(self)

    def reset(self) -> None:
        """Begin with no connection; redis-py calls it after a fork, too."""
        is_forked = getattr(self, "pid", os.getpid()) != os.getpid()
        if is_forked:
            # Another thread of the parent may have held it, and who was in is not here.
            self._lock, self.statistics = threading.RLock(), Statistics()
        super().reset()
        self._places, self._open = FairSemaphore(self._limits.max_size), 0
        if is_forked:
            pools.add(self)

    def make_connection(self) -> Any:
        connection = super().make_connection()
        connection.pool = weakref.ref(self)  # type: ignore[attr-defined]
        return connection

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return a connection that works. Raises redis.ConnectionError where none comes free."""
        if self.pid != os.getpid():
            self._checkpid()  # first: after a fork the places are others
        places = self._places
        try:
            waited = places.acquire(self._limits.acquire_timeout_seconds)
        except AcquireTimeout:
            self.statistics.queued += 1
            self.statistics.timeouts += 1
            raise redis.exceptions.MaxConnectionsError(
                f"no connection of the pool {self.alias!r} came free within "
                f"{self._limits.acquire_timeout_seconds:g} s: {places.inside} of {places.limit} are"
                f" in use, {places.waiting} wait"
            ) from None
        try:
            connection: Any = self._take_ready() or super().get_connection()
        except BaseException:
            places.release()
            raise
        now = monotonic()
        connection.acquired_at, connection.thread = now, threading.get_ident()
        connection.place = places
        if pools.sampler.due():
            connection.stack = capture()
        if waited:
            self.statistics.queued += 1
            self.statistics.waited(waited)
        self.statistics.acquired += 1
        return connection

    def _take_ready(self) -> Any:
        """Return the idle connection used last where it is surely good, else None.

        This is what redis-py does in the common case, without its detours.
        """
        if recorder._metrics_collector is not None:
            return None  # its own metrics are on, and count what it does itself
        with self._lock:
            idle = self._available_connections
            if not idle or not idle[-1].is_quiet():
                return None
            connection = idle.pop()
            self._in_use_connections.add(connection)
        return connection

    def release(self, connection: Any) -> None:
        """Take a connection back; one that is worn out or too many is disconnected."""
        acquired_at = connection.acquired_at
        if acquired_at:  # else it could not be made ready, and its place is given back there
            now = monotonic()
            self.statistics.used(now - acquired_at)
            if connection.is_told:
                self._came_back(connection, now)
            connection.acquired_at, connection.released_at, connection.stack = 0.0, now, None
            if self._open > self._limits.max_size or self._is_worn(connection, now):
                connection.retire()
        super().release(connection)
        if acquired_at:
            connection.place.release()

    def connected(self, connection: Any, seconds: float) -> None:
        """Count a connection that was opened."""
        self._open += 1
        connection.lives_seconds = lifetime_of(self._limits)
        self.statistics.connected(seconds)

    def disconnected(self) -> None:
        """Count a connection that was closed."""
        self._open -= 1
        self.statistics.closed += 1

    def apply(self, limits: Limits) -> None:
        """Obey new limits at once; idle connections that are too many are closed here."""
        before, self._limits = self._limits, limits
        self._places.resize(limits.max_size)
        self._places.suspend(limits.suspended_until)
        if limits.generation != before.generation:
            self._recycled_at = monotonic()
        self._trim(monotonic())

    def _trim(self, now: float) -> None:
        with self._lock:
            for connection in list(self._available_connections):  # the longest idle first
                if connection._sock is None:
                    continue
                idles = now - connection.released_at >= self._limits.idle_timeout_seconds
                too_many = self._open > self._limits.max_size
                if too_many or self._is_worn(connection, now) or (
                    idles and self._open > self._limits.min_size
                ):  # fmt: skip
                    connection.retire()

    def _is_worn(self, connection: Any, now: float) -> bool:
        return bool(
            now - connection.connected_at >= connection.lives_seconds
            or connection.connected_at <= self._recycled_at
        )

    def sweep(self) -> None:
        """Close what is worn out or idle for too long, and report leaks."""
        now = monotonic()
        self._places.resume_if_due()
        self._trim(now)
        for connection in tuple(self._in_use_connections):
            held = now - connection.acquired_at if connection.acquired_at else 0.0
            if held > self._limits.leak_threshold_seconds and not connection.is_told:
                connection.is_told = True
                self.statistics.leaked += 1
                taken = connection.stack
                stack = trimmed(taken) if taken else stack_of_thread(connection.thread)
                pools.report(Leak(self.alias, held, connection.thread, stack, taken is not None))

    def _came_back(self, connection: Any, now: float) -> None:
        connection.is_told = False
        stack = trimmed(connection.stack or ())
        held = now - connection.acquired_at
        pools.report(Leak(self.alias, held, connection.thread, stack, bool(stack), came_back=True))

    def gauges(self) -> Gauges:
        """Return how the pool stands."""
        holders: dict[int, int] = {}
        for connection in tuple(self._in_use_connections):
            holders[connection.thread] = holders.get(connection.thread, 0) + 1
        size, in_use = self._open, len(self._in_use_connections)
        return Gauges(
            size=size,
            idle=max(0, size - in_use),
            in_use=in_use,
            waiting=self._places.waiting,
            held_at_once=max(holders.values(), default=0),
        )


class ManagedSentinelPool(ManagedPool, SentinelConnectionPool):
    """The same for a master that Sentinel names."""

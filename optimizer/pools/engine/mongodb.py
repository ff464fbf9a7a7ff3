"""MongoDB: pymongo's own pool, listened to (CMAP events), and resized by changing clients.

Source: the specification "Connection Monitoring and Pooling". A client's limits cannot be changed,
so a new client takes the place of the old one, which is closed once nobody has used it for a while.
"""

import threading
from time import monotonic, sleep, time
from typing import Any

from pymongo import MongoClient, monitoring

from optimizer.pools.engine.base import pools
from optimizer.pools.engine.leaks import Leak, Place, capture, stack_of_thread, trimmed
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.statistics import Gauges, Statistics

_DRAIN_SECONDS = 60.0  # an old client nobody used for so long is closed
_QUEUED_SECONDS = 0.001  # a check-out that took longer had to wait
_SIZES = ("min_size", "max_size", "acquire_timeout_seconds", "idle_timeout_seconds", "generation")
_Key = tuple[Any, int]


class _Held:
    """A connection that is out."""

    __slots__ = ("at", "is_told", "stack", "thread")

    def __init__(self, stack: tuple[Place, ...] | None) -> None:
        self.at, self.thread = monotonic(), threading.get_ident()
        self.stack, self.is_told = stack, False


class _Listener(monitoring.ConnectionPoolListener):
    """What one client's pools tell; called in the threads that use it."""

    def __init__(self, pool: "ManagedMongo") -> None:
        self._pool, self._statistics = pool, pool.statistics
        self.held: dict[_Key, _Held] = {}
        self.open = self.waiting = 0
        self.used_at = monotonic()

    def connection_check_out_started(self, event: Any) -> None:
        self._pool.wait_until_resumed()
        self.waiting += 1

    def connection_check_out_failed(self, event: Any) -> None:
        self.waiting -= 1
        if event.reason == monitoring.ConnectionCheckOutFailedReason.TIMEOUT:
            self._statistics.queued += 1
            self._statistics.timeouts += 1
        else:
            self._statistics.errors += 1

    def connection_checked_out(self, event: Any) -> None:
        self.waiting -= 1
        self._statistics.acquired += 1
        if event.duration >= _QUEUED_SECONDS:
            self._statistics.queued += 1
            self._statistics.waited(event.duration)
        stack = capture() if pools.sampler.due() else None
        self.held[event.address, event.connection_id] = _Held(stack)

    def connection_checked_in(self, event: Any) -> None:
        self.used_at = monotonic()
        held = self.held.pop((event.address, event.connection_id), None)
        if held is not None:
            self._statistics.used(self.used_at - held.at)
            if held.is_told:
                self._pool.came_back(held)

    def connection_created(self, event: Any) -> None:
        self.open += 1

    def connection_ready(self, event: Any) -> None:
        self._statistics.connected(event.duration)

    def connection_closed(self, event: Any) -> None:
        self.open -= 1
        self._statistics.closed += 1
        self.held.pop((event.address, event.connection_id), None)
        if event.reason == monitoring.ConnectionClosedReason.ERROR:
            self._statistics.lost += 1

    def pool_created(self, event: Any) -> None: ...

    def pool_ready(self, event: Any) -> None: ...

    def pool_cleared(self, event: Any) -> None: ...

    def pool_closed(self, event: Any) -> None: ...


class ManagedMongo:
    """The clients of one MongoDB alias: one that is in force, and old ones that drain."""

    kind = "mongodb"

    def __init__(self, alias: str) -> None:
        self.alias, self.statistics = alias, Statistics()
        self._lock = threading.Lock()
        self._limits = Limits()
        self._suspended_until = 0.0
        self._client: MongoClient[Any] | None = None
        # No dictionary: clients of the same server are equal.
        self._clients: list[tuple[MongoClient[Any], _Listener]] = []
        pools.add(self)

    def client(self, **options: Any) -> MongoClient[Any]:
        """Return the client in force, made of `options` and the limits where there is none."""
        client = self._client
        if client is not None:
            return client
        with self._lock:
            if self._client is None:
                listener = _Listener(self)
                listeners = [*options.pop("event_listeners", ()), listener]
                self._client = MongoClient(
                    **{**options, **self._options()}, event_listeners=listeners
                )
                self._clients.append((self._client, listener))
            return self._client

    def is_current(self, client: MongoClient[Any]) -> bool:
        """Say whether a client is the one in force."""
        return client is self._client

    def _options(self) -> dict[str, Any]:
        limits = self._limits
        return {
            "maxPoolSize": limits.max_size,
            "minPoolSize": limits.min_size,
            "maxIdleTimeMS": int(limits.idle_timeout_seconds * 1000),
            "waitQueueTimeoutMS": max(1, int(limits.acquire_timeout_seconds * 1000)),
        }

    def apply(self, limits: Limits) -> None:
        """Obey new limits: whoever asks for a client next gets one that does."""
        before, self._limits = self._limits, limits
        self._suspended_until = limits.suspended_until
        if any(getattr(before, name) != getattr(limits, name) for name in _SIZES):
            self._client = None

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            self._client, clients, self._clients = None, self._clients, []
        for client, _ in clients:
            client.close()

    def wait_until_resumed(self) -> None:
        """Keep the caller while the pool is suspended, for the acquire timeout at most."""
        if not self._suspended_until:
            return
        until = monotonic() + self._limits.acquire_timeout_seconds
        while time() < self._suspended_until and monotonic() < until:
            sleep(0.01)

    def sweep(self) -> None:
        """Close old clients that nobody uses, and report leaks."""
        now = monotonic()
        for entry in list(self._clients):
            client, listener = entry
            is_drained = not listener.held and now - listener.used_at > _DRAIN_SECONDS
            if client is not self._client and is_drained:
                self._clients.remove(entry)
                client.close()
            for held in list(listener.held.values()):
                if now - held.at > self._limits.leak_threshold_seconds and not held.is_told:
                    held.is_told = True
                    self.statistics.leaked += 1
                    stack = trimmed(held.stack) if held.stack else stack_of_thread(held.thread)
                    taken_here = held.stack is not None
                    pools.report(Leak(self.alias, now - held.at, held.thread, stack, taken_here))

    def came_back(self, held: _Held) -> None:
        """Report that a leak was none."""
        stack = trimmed(held.stack or ())
        seconds = monotonic() - held.at
        pools.report(Leak(self.alias, seconds, held.thread, stack, bool(stack), came_back=True))

    def gauges(self) -> Gauges:
        """Return how the pool stands, old clients included."""
        listeners = [listener for _, listener in self._clients]
        holders: dict[int, int] = {}
        for listener in listeners:
            for held in list(listener.held.values()):
                holders[held.thread] = holders.get(held.thread, 0) + 1
        size, in_use = sum(one.open for one in listeners), sum(holders.values())
        return Gauges(
            size=size,
            idle=max(0, size - in_use),
            in_use=in_use,
            waiting=sum(one.waiting for one in listeners),
            held_at_once=max(holders.values(), default=0),
        )

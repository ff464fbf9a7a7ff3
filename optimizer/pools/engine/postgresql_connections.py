"""The connections of one PostgreSQL pool: who holds which, since when, and what became of them."""

import weakref
from collections.abc import Iterator
from typing import Any

import psycopg

from optimizer.pools.engine.leaks import Leak, Place, stack_of_thread, trimmed
from optimizer.pools.engine.readable import Readable


class TrackedConnection(psycopg.Connection[Any]):
    """A connection that knows who holds it and since when; times are of the monotonic clock."""

    acquired_at = 0.0  # 0: in the pool
    returned_at = 0.0
    thread = 0
    stack: tuple[Place, ...] | None = None
    is_told = False  # of the present holder a leak was reported
    readable: Readable
    reference: "weakref.ref[TrackedConnection]"


class TrackedConnections:
    """All open connections of a pool, in it and out of it; none is kept alive by being here."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._references: set[weakref.ref[TrackedConnection]] = set()
        self._collected: list[weakref.ref[TrackedConnection]] = []

    def __len__(self) -> int:
        return len(self._references)

    def add(self, conn: TrackedConnection) -> None:
        """Take a new connection in."""
        conn.readable = Readable(conn.fileno())
        # The collector runs anywhere, locks held or not: a list is all that it may touch.
        conn.reference = weakref.ref(conn, self._collected.append)
        self._references.add(conn.reference)

    def discard(self, conn: TrackedConnection) -> None:
        """Forget a connection that is being closed."""
        self._references.discard(conn.reference)

    def collected(self) -> Iterator[Leak]:
        """Return what was dropped by its holder without being given back, each once."""
        while self._collected:
            reference = self._collected.pop()
            if reference in self._references:
                self._references.discard(reference)
                yield Leak(self._pool, 0.0, 0, (), False)

    def leaks(self, now: float, threshold_seconds: float) -> Iterator[Leak]:
        """Return the connections that are out for longer than the threshold, each once."""
        for conn in self._connections():
            acquired_at = conn.acquired_at
            if acquired_at and now - acquired_at > threshold_seconds and not conn.is_told:
                conn.is_told = True
                taken = conn.stack
                stack = trimmed(taken) if taken else stack_of_thread(conn.thread)
                yield Leak(
                    self._pool, now - acquired_at, conn.thread, stack, taken_here=taken is not None
                )

    def came_back(self, conn: TrackedConnection, now: float) -> Leak:
        """Return what is to be said of a reported connection that was given back after all."""
        conn.is_told = False
        stack = trimmed(conn.stack or ())
        held = now - conn.acquired_at
        return Leak(self._pool, held, conn.thread, stack, bool(stack), came_back=True)

    def held_by_thread(self) -> dict[int, int]:
        """Return how many connections each thread holds."""
        holders: dict[int, int] = {}
        for conn in self._connections():
            if conn.acquired_at:
                holders[conn.thread] = holders.get(conn.thread, 0) + 1
        return holders

    def _connections(self) -> list[TrackedConnection]:
        found = (reference() for reference in tuple(self._references))
        return [conn for conn in found if conn is not None]

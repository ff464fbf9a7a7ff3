"""How a PostgreSQL pool comes by connections and parts with them."""

from time import monotonic
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool
from psycopg_pool.pool import AddConnection

from optimizer.pools.engine.base import lifetime_of, pools
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.postgresql_connections import TrackedConnection, TrackedConnections
from optimizer.pools.engine.statistics import Gauges, Statistics

_CONNECT_AT_ONCE = 4
_NEVER = 10.0 * 365 * 86_400  # seconds: psycopg_pool's own way of shrinking is not used


class SupplyingPool(ConnectionPool[Any]):
    """The half of a pool that callers do not see; `postgresql` has the other."""

    def __init__(self, alias: str, **options: Any) -> None:
        self.alias, self.statistics = alias, Statistics()
        self._limits = Limits()
        self._tracked = TrackedConnections(alias)
        super().__init__(
            connection_class=TrackedConnection, name=alias, min_size=0, max_size=1,
            max_idle=_NEVER, open=False, num_workers=_CONNECT_AT_ONCE, **options,
        )  # fmt: skip

    def _connect(self, timeout: float | None = None) -> Any:
        started = monotonic()
        try:
            conn = super()._connect(timeout)
        except Exception:
            self.statistics.errors += 1
            raise
        now = monotonic()
        self.statistics.connected(now - started)
        conn.returned_at = now
        conn._expire_at = now + lifetime_of(self._limits)
        self._tracked.add(conn)
        return conn

    def _add_connection(self, attempt: Any, growing: bool = False) -> None:
        try:
            conn = self._connect()
        except Exception as error:
            self._connecting_failed(error, growing)
            return
        with self._lock:
            is_wanted = self._nconns <= self._max_size
            if not is_wanted:
                self._nconns -= 1
        if is_wanted:
            self._add_to_pool(conn)
        else:
            self._close_connection(conn)
        if growing:
            with self._lock:
                self._growing = False
                if self._waiting:
                    self._maybe_grow_pool()

    def _maybe_grow_pool(self) -> None:
        # What is in the making already may be enough for all who wait.
        if len(self._waiting) > self._nconns - len(self._tracked):
            super()._maybe_grow_pool()

    def _connecting_failed(self, error: Exception, growing: bool) -> None:
        """Tell who waits, unless connections are out that may come back; the next call tries anew.

        There is no back-off: one attempt at a time is made, and only while somebody wants it.
        """
        with self._lock:
            self._nconns -= 1
            if growing:
                self._growing = False
            told = [] if self._tracked else list(self._waiting)
            if told:
                self._waiting.clear()
        for one in told:
            one.fail(psycopg.OperationalError(str(error)))  # a traceback grows with each raise

    def _lose(self, conn: TrackedConnection) -> None:
        """Drop a broken connection, and with it the idle ones whose sockets have ended too."""
        broken = [conn]
        for other in list(self._pool):
            if other.readable.now() and self._take(other):
                broken.append(other)
        for one in broken:
            self.statistics.lost += 1
            self._close_connection(one)
            self._one_less(replace=True)

    def _take(self, conn: TrackedConnection) -> bool:
        """Take an idle connection out of the pool; False where somebody was faster."""
        try:
            self._pool.remove(conn)
        except ValueError:
            return False
        return True

    def _one_less(self, replace: bool = False) -> None:
        """Note that a connection has gone; make another one where it is wanted."""
        with self._lock:
            wanted = replace or self._waiting or self._nconns <= self._min_size
            if not wanted or self._nconns > self._max_size or self._closed:
                self._nconns -= 1
                return
        self.run_task(AddConnection(self))

    def _close_connection(self, conn: Any) -> None:
        self._tracked.discard(conn)
        self.statistics.closed += 1
        super()._close_connection(conn)

    def _refill(self) -> None:
        """Have at least the smallest number of connections, and one in the making for who waits."""
        with self._lock:
            if self._waiting and not self._closed:
                self._maybe_grow_pool()
            missing = 0 if self._closed else max(0, self._min_size - self._nconns)
            self._nconns += missing
        for _ in range(missing):
            self.run_task(AddConnection(self))

    def _take_off_collected(self) -> None:
        """Make up for connections whose holder has dropped them instead of giving them back."""
        for leak in self._tracked.collected():
            self.statistics.lost += 1
            self.statistics.leaked += 1
            pools.report(leak)
            self._one_less()

    def gauges(self) -> Gauges:
        """Return how the pool stands."""
        held = self._tracked.held_by_thread()
        return Gauges(
            size=len(self._tracked),
            idle=len(self._pool),
            in_use=sum(held.values()),
            waiting=len(self._waiting),
            held_at_once=max(held.values(), default=0),
        )

    def get_stats(self) -> dict[str, int]:
        """Return what psycopg_pool tells, with what is counted here."""
        mine = self.statistics
        return super().get_stats() | {
            self._REQUESTS_NUM: mine.acquired,
            self._REQUESTS_QUEUED: mine.queued,
            self._REQUESTS_WAIT_MS: int(mine.wait_seconds * 1000),
            self._REQUESTS_ERRORS: mine.timeouts,
            self._USAGE_MS: int(mine.use_seconds * 1000),
            self._CONNECTIONS_LOST: mine.lost,
        }

"""PostgreSQL: psycopg_pool's pool, with limits that change while it works, and statistics.

What differs from `psycopg_pool.ConnectionPool` 3.3, whose private parts this file builds on
(`tests/pools/test_psycopg_pool.py` says which): the connection used last is taken first, without a
lock; a connection is checked on borrow when it was idle for long, when its socket has something to
read, or after another one was found broken; a pool that shrinks closes at once; a server that
cannot be reached is told to who waits instead of letting them wait.
"""

import threading
from time import monotonic, time
from typing import Any

from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from optimizer.pools.engine.base import pools
from optimizer.pools.engine.leaks import capture
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.postgresql_connections import TrackedConnection
from optimizer.pools.engine.postgresql_supply import SupplyingPool

_IDLE, _UNKNOWN = TransactionStatus.IDLE, TransactionStatus.UNKNOWN


class ManagedConnectionPool(SupplyingPool):
    """A pool of one database of this process."""

    kind = "postgresql"

    def __init__(self, alias: str, **options: Any) -> None:
        self._doubted_at = 0.0  # connections returned before are checked once
        self._suspended_until = 0.0  # seconds since the epoch
        self._resumed = threading.Event()
        super().__init__(alias, **options)
        pools.add(self)

    # --- The hot path -----------------------------------------------------------------------

    def getconn(self, timeout: float | None = None) -> Any:
        """Return a connection that works; raises PoolTimeout, OperationalError, PoolClosed."""
        timeout = self.timeout if timeout is None else timeout
        if self._suspended_until:
            timeout = self._wait_until_resumed(timeout)
        now = monotonic()
        while True:
            try:
                conn = self._pool.pop()  # atomic, and the others may idle out
            except IndexError:
                conn = self._getconn_queued(now, timeout)
                now = monotonic()
                break
            if self._is_good(conn, now):
                break
        conn._pool = self
        conn.acquired_at = now
        conn.thread = threading.get_ident()
        if pools.sampler.due():
            conn.stack = capture()
        self.statistics.acquired += 1
        return conn

    def putconn(self, conn: Any) -> None:
        """Take a connection back; one that is broken, worn out or too many is closed."""
        if conn._pool is not self:
            self._check_pool_putconn(conn)
        now = monotonic()
        self.statistics.used(now - conn.acquired_at)
        if conn.is_told:
            pools.report(self._tracked.came_back(conn, now))
        conn.acquired_at, conn.returned_at, conn.stack = 0.0, now, None
        if (
            conn.pgconn.transaction_status == _IDLE
            and conn._expire_at > now
            and conn._created_at > self._drained_at
            and self._nconns <= self._max_size
        ):
            self._add_to_pool(conn)
        else:
            self._return_connection(conn, from_getconn=False)

    def _is_good(self, conn: TrackedConnection, now: float) -> bool:
        """Say whether a connection works; what is broken is replaced."""
        if (
            now - conn.returned_at < self._limits.check_after_idle_seconds
            and conn.returned_at >= self._doubted_at
            and not conn.readable.now()
        ):
            return True
        try:
            self.check_connection(conn)
        except Exception:  # whatever it is, this one is of no use; counted as lost
            self._doubted_at = monotonic()
            self._lose(conn)
            return False
        conn.returned_at = monotonic()
        return True

    def _getconn_queued(self, started: float, timeout: float) -> TrackedConnection:
        self._check_open_getconn()
        self._take_off_collected()
        statistics, deadline = self.statistics, started + timeout
        statistics.queued += 1
        while True:
            try:
                conn: TrackedConnection = self._getconn_unchecked(deadline - monotonic())
            except PoolTimeout:
                statistics.timeouts += 1
                raise PoolTimeout(
                    f"no connection of the pool {self.alias!r} came free within {timeout:.2f} s: "
                    f"{self._nconns} of {self._max_size} are open, {len(self._waiting)} wait"
                ) from None
            now = monotonic()
            if self._is_good(conn, now):
                statistics.waited(now - started)
                return conn

    # --- What comes back --------------------------------------------------------------------

    def _return_connection(self, conn: Any, from_getconn: bool) -> None:
        self._reset_connection(conn)
        if conn.pgconn.transaction_status == _UNKNOWN:
            # One that broke in use: the others may have gone with it.
            self._doubted_at = monotonic()
            self._lose(conn)
        elif self._is_worn(conn, monotonic()) or self._nconns > self._max_size:
            self._close_connection(conn)
            self._one_less()
        else:
            self._add_to_pool(conn)

    def _is_worn(self, conn: Any, now: float) -> bool:
        return bool(conn._expire_at <= now or conn._created_at <= self._drained_at)

    # --- Limits -----------------------------------------------------------------------------

    def apply(self, limits: Limits) -> None:
        """Obey new limits at once."""
        before, self._limits = self._limits, limits
        self.timeout = limits.acquire_timeout_seconds
        self.max_lifetime = limits.max_lifetime_seconds
        if self._closed:
            if not self._opened:
                self._min_size, self._max_size = limits.min_size, limits.max_size
                self._nconns = limits.min_size
        else:
            self.resize(limits.min_size, limits.max_size)
        self.suspend(limits.suspended_until)
        if limits.generation != before.generation:
            self.recycle()

    def resize(self, min_size: int, max_size: int | None = None) -> None:
        """Change the size: idle connections that are too many are closed before this returns."""
        min_size, max_size = self._check_size(min_size, max_size)
        too_many = []
        with self._lock:
            self._min_size, self._max_size = min_size, max_size
            while self._nconns > max_size and self._pool:
                too_many.append(self._pool.popleft())
                self._nconns -= 1
        for conn in too_many:
            self._close_connection(conn)
        self._refill()

    def recycle(self) -> None:
        """Replace all connections: the idle ones now, those in use once they come back."""
        with self._lock:
            self._drained_at = monotonic()
            idle = list(self._pool)
            self._pool.clear()
        for conn in idle:
            self._close_connection(conn)
            self._one_less()

    def suspend(self, until: float) -> None:
        """Hand out nothing until a time, in seconds since the epoch; 0 resumes."""
        self._suspended_until = until if until > time() else 0.0
        if self._suspended_until:
            self._resumed.clear()
        else:
            self._resumed.set()

    def _wait_until_resumed(self, timeout: float) -> float:
        """Return the time that is left to wait for a connection."""
        started = monotonic()
        while (left := self._suspended_until - time()) > 0:
            spent = monotonic() - started
            if spent >= timeout:
                self.statistics.timeouts += 1
                raise PoolTimeout(f"the pool {self.alias!r} is suspended")
            self._resumed.wait(min(left, timeout - spent))
        self._suspended_until = 0.0
        return timeout - (monotonic() - started)

    # --- Once a second ----------------------------------------------------------------------

    def sweep(self) -> None:
        """Close what is worn out or idle for too long, refill, and report leaks."""
        self._take_off_collected()
        if self._closed:
            return
        now, limits = monotonic(), self._limits
        for conn in list(self._pool):
            idles = now - conn.returned_at >= limits.idle_timeout_seconds
            is_due = self._is_worn(conn, now) or (idles and self._nconns > self._min_size)
            if is_due and self._take(conn):
                self._close_connection(conn)
                self._one_less()
        self._refill()
        for leak in self._tracked.leaks(now, limits.leak_threshold_seconds):
            self.statistics.leaked += 1
            pools.report(leak)

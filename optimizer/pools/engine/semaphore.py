"""A counting semaphore that is fair, can be suspended, and whose limit changes while it works."""

import threading
from collections import deque
from time import monotonic, time


class AcquireTimeout(Exception):
    """No place came free in time."""


class FairSemaphore:
    """Let at most `limit` callers in at once, the others in the order in which they came.

    A place that is given back goes to the first who waits (direct hand-off), so nobody overtakes.
    A lower limit holds once so many places are given back; those who are in stay in.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._limit = limit
        self._inside = 0
        self._queue: deque[threading.Lock] = deque()
        self._suspended_until = 0.0  # seconds since the epoch

    @property
    def inside(self) -> int:
        """How many are in."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def limit(self) -> int:
        """How many may be in."""
        return self._limit

    def acquire(self, timeout_seconds: float) -> float:
        """Take a place; return the seconds waited for it, 0 where one was free.

        Raises AcquireTimeout.
        """
        if self._suspended_until:
            return self._acquire_suspended(timeout_seconds)
        with self._lock:
            if self._inside < self._limit and not self._queue:
                self._inside += 1
                return 0.0
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        return self._wait(turn, monotonic(), timeout_seconds)

    def release(self) -> None:
        """Give a place back."""
        with self._lock:
            self._inside -= 1
            if self._queue:
                self._let_in()

    def resize(self, limit: int) -> None:
        """Change the limit; where it grows, those who wait come in at once."""
        with self._lock:
            self._limit = limit
            self._let_in()

    def suspend(self, until: float) -> None:
        """Let nobody in until a time, in seconds since the epoch; 0 resumes."""
        with self._lock:
            self._suspended_until = until
            self._let_in()

    def resume_if_due(self) -> None:
        """Let those in who wait for the end of a suspension."""
        if self._suspended_until and time() >= self._suspended_until:
            self.suspend(0.0)

    def _acquire_suspended(self, timeout_seconds: float) -> float:
        started = monotonic()
        with self._lock:
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
            self._let_in()
        # Nobody else may look at the clock in the meantime.
        while (left := self._suspended_until - time()) > 0 and self._suspended_until:
            spent = monotonic() - started
            if turn.acquire(timeout=max(0.0, min(left, timeout_seconds - spent))):
                return monotonic() - started
            if monotonic() - started >= timeout_seconds:
                return self._wait(turn, started, timeout_seconds)
        self.resume_if_due()
        return self._wait(turn, started, timeout_seconds)

    def _wait(self, turn: threading.Lock, started: float, timeout_seconds: float) -> float:
        left = max(0.0, started + timeout_seconds - monotonic())
        if not turn.acquire(timeout=left):
            with self._lock:
                try:
                    self._queue.remove(turn)
                except ValueError:  # let in at the last moment
                    return monotonic() - started
            raise AcquireTimeout
        return monotonic() - started

    def _let_in(self) -> None:
        """Let in who waits, as far as there is room; called with the lock held."""
        if self._suspended_until:
            if time() < self._suspended_until:
                return
            self._suspended_until = 0.0
        while self._queue and self._inside < self._limit:
            self._inside += 1
            self._queue.popleft().release()

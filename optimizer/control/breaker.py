"""A circuit breaker: what keeps failing is not called for a while."""

import random
import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Refuse calls after `failures` failures in a row; then let one probe each `open_seconds`.

    Source: M. Nygard, Release It!, "Circuit Breaker". States: "closed", "open", "half-open".
    """

    def __init__(
        self,
        *,
        failures: int = 2,
        open_seconds: float = 0.5,
        on_open: Callable[[], None] = lambda: None,
        on_close: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.failures, self.open_seconds = failures, open_seconds
        self._clock, self._jitter = clock, jitter
        self._on_open, self._on_close = on_open, on_close
        self.reset()

    def reset(self) -> None:
        """Close the breaker and forget what was counted."""
        self._lock = threading.Lock()
        self._count = 0
        self._probe_at = 0.0
        self.is_open = False

    @property
    def probe_after_seconds(self) -> float:
        """How long until a probe may go out."""
        return max(0.0, self._probe_at - self._clock())

    @property
    def state(self) -> str:
        if not self.is_open:
            return "closed"
        return "half-open" if self._clock() >= self._probe_at else "open"

    def allow(self) -> bool:
        """Say whether a call may go out now; of several callers after the pause only one may."""
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._probe_at:
            return False
        with self._lock:
            if now < self._probe_at:
                return False
            self._probe_at = now + self._pause()
            return True

    def succeeded(self) -> None:
        """Note a call that was answered."""
        if self._count or self.is_open:
            with self._lock:
                was_open, self._count, self.is_open = self.is_open, 0, False
            if was_open:
                self._on_close()

    def failed(self) -> None:
        """Note a call that was not."""
        with self._lock:
            self._count += 1
            opens = not self.is_open and self._count >= self.failures
            if opens or self.is_open:
                self._probe_at = self._clock() + self._pause()
                self.is_open = True
        if opens:
            self._on_open()

    def _pause(self) -> float:
        # Jitter keeps many processes from probing a returning Redis in step.
        return self.open_seconds * (0.75 + 0.5 * self._jitter())

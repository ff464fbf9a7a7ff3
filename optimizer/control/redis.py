"""Redis for every component: one client with a time budget, behind one circuit breaker a process.

Nothing here blocks longer than `REDIS_TIMEOUT_SECONDS`; once the breaker is open a call is refused
at once, and a single probe finds out when Redis is back.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from optimizer.control import metrics

R = TypeVar("R")


class RedisAway(Exception):
    """Redis did not answer within its time budget, or the breaker is open."""


class CircuitBreaker:
    """Refuse calls after `failures` failures in a row; then let one probe each `open_seconds`.

    Source: M. Nygard, Release It!, "Circuit Breaker". States: "closed", "open", "half-open".
    """

    def __init__(
        self,
        *,
        failures: int = 2,
        open_seconds: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.failures, self.open_seconds = failures, open_seconds
        self._clock, self._jitter = clock, jitter
        self.reset()

    def reset(self) -> None:
        """Close the breaker and forget what was counted."""
        self._lock = threading.Lock()
        self._count = 0
        self._probe_at = 0.0
        self._open = False

    @property
    def state(self) -> str:
        if not self._open:
            return "closed"
        return "half-open" if self._clock() >= self._probe_at else "open"

    def allow(self) -> bool:
        """Say whether a call may go out now; of several callers after the pause only one may."""
        if not self._open:
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
        if self._count or self._open:
            with self._lock:
                self._count, self._open = 0, False
            metrics.BREAKER_OPEN.set(0)

    def failed(self) -> None:
        """Note a call that was not."""
        with self._lock:
            self._count += 1
            if self._open or self._count >= self.failures:
                if not self._open:
                    metrics.BREAKER_OPENED.inc()
                    metrics.BREAKER_OPEN.set(1)
                self._open = True
                self._probe_at = self._clock() + self._pause()

    def _pause(self) -> float:
        # Jitter keeps many processes from probing a returning Redis in step.
        return self.open_seconds * (0.75 + 0.5 * self._jitter())


breaker = CircuitBreaker()
_client: redis.Redis | None = None


def new_client(**options: Any) -> redis.Redis:
    """Return a client of its own connection pool; `options` go to redis-py."""
    timeout = settings.REDIS_TIMEOUT_SECONDS
    return redis.Redis.from_url(
        settings.REDIS_URL,
        **{
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            # A retry would double the time budget; the caller decides what a failure means.
            "retry": Retry(NoBackoff(), 0),
            **options,
        },
    )


def client() -> redis.Redis:
    """Return this process's shared client."""
    global _client
    if _client is None:
        _client = new_client()
    return _client


def call(function: Callable[[redis.Redis], R]) -> R:
    """Run `function` with the shared client within the time budget.

    Raises RedisAway when Redis does not answer, or at once while the breaker is open. An error
    that Redis itself replied (a wrong type, a missing script) passes through.
    """
    if not breaker.allow():
        raise RedisAway("The circuit breaker is open.")
    try:
        result = function(client())
    except _AWAY as error:
        breaker.failed()
        raise RedisAway(str(error)) from error
    except redis.ResponseError:
        breaker.succeeded()  # an answer, if not the one hoped for
        raise
    breaker.succeeded()
    return result


_AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.BusyLoadingError,
    redis.ReadOnlyError,
    redis.AuthenticationError,
    redis.exceptions.MasterDownError,
    OSError,
)


def _after_fork() -> None:
    global _client
    _client = None
    breaker.reset()


os.register_at_fork(after_in_child=_after_fork)

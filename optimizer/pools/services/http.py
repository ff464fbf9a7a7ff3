"""HTTP: one shared httpx client a target, bounded, counted, and exchanged when limits change.

from optimizer.pools import http

answer = http("payments").get("https://payments.example/status", timeout=3.0)
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import httpx

from optimizer.pools.engine.base import pools
from optimizer.pools.engine.leaks import Leak, stack_of_thread
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.semaphore import AcquireTimeout, FairSemaphore
from optimizer.pools.engine.statistics import Gauges, Statistics
from optimizer.pools.services.http_client import CountedClient


class HttpPool:
    """Requests to one target, at most `max_size` at once; others wait in turn."""

    kind = "http"

    def __init__(self, target: str) -> None:
        self.alias, self.statistics = target, Statistics()
        self.begin()

    def begin(self) -> None:
        """Begin with no connection, as after a fork."""
        self._limits = pools.limits_of(self.alias, self.kind)
        self._places = FairSemaphore(self._limits.max_size)
        self._lock, self._count_lock = threading.Lock(), threading.Lock()
        self._held: dict[int, tuple[float, bool]] = {}  # by thread: since when, and if it was told
        self._open = 0
        self._now = self._new_client()
        pools.add(self)

    def leave_to_parent(self) -> CountedClient:
        """Begin anew, and return the parent's client: its end would reach the parent's servers."""
        inherited, self.statistics = self._now, Statistics()
        self.begin()
        return inherited

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request and return its answer, read whole; `options` are httpx's.

        Raises httpx.PoolTimeout where no connection came free in time, and as httpx does.
        """
        client, began = self._begin()
        try:
            return client.client.request(method, url, **options)
        finally:
            self._end(client, began)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """Send a GET; as `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """Send a POST; as `request`."""
        return self.request("POST", url, **options)

    @contextmanager
    def stream(self, method: str, url: str, **options: Any) -> Iterator[httpx.Response]:
        """Send a request and give its answer before the body is read; as `request`."""
        client, began = self._begin()
        try:
            with client.client.stream(method, url, **options) as answer:
                yield answer
        finally:
            self._end(client, began)

    def _begin(self) -> tuple[CountedClient, float]:
        """Take a place, and the client to use."""
        statistics = self.statistics
        try:
            waited = self._places.acquire(self._limits.acquire_timeout_seconds)
        except AcquireTimeout:
            statistics.queued += 1
            statistics.timeouts += 1
            raise httpx.PoolTimeout(
                f"no connection to {self.alias!r} came free within "
                f"{self._limits.acquire_timeout_seconds:g} s: {self._places.limit} are in use"
            ) from None
        statistics.acquired += 1
        if waited:
            statistics.queued += 1
            statistics.waited(waited)
        began = monotonic()
        self._held[threading.get_ident()] = (began, False)
        with self._lock:
            client = self._now
            client.requests += 1
        return client, began

    def _end(self, client: CountedClient, began: float) -> None:
        self.statistics.used(monotonic() - began)
        self._held.pop(threading.get_ident(), None)
        with self._lock:
            client.requests -= 1
            is_done = client.is_old and not client.requests
        if is_done:
            client.close()
        self._places.release()

    def _new_client(self) -> CountedClient:
        return CountedClient(self._limits, self.statistics, self._opened)

    def _opened(self, count: int) -> None:
        with self._count_lock:
            self._open += count

    def _exchange(self) -> None:
        """Put a new client in place; the old one goes with the last request that it is at."""
        fresh = self._new_client()
        with self._lock:
            old, self._now = self._now, fresh
            old.is_old = True
            is_done = not old.requests
        if is_done:
            old.close()

    def apply(self, limits: Limits) -> None:
        """Obey new limits at once; fewer or other connections need another client."""
        before, self._limits = self._limits, limits
        self._places.resize(limits.max_size)
        self._places.suspend(limits.suspended_until)
        if (before.max_size, before.idle_timeout_seconds, before.generation) != (
            limits.max_size, limits.idle_timeout_seconds, limits.generation,
        ):  # fmt: skip
            self._exchange()

    def sweep(self) -> None:
        """Exchange a client that has lived its time, and report leaks."""
        self._places.resume_if_due()
        now = monotonic()
        if now - self._now.began_at > self._limits.max_lifetime_seconds:
            self._exchange()
        for thread, (began, is_told) in list(self._held.items()):
            if not is_told and now - began > self._limits.leak_threshold_seconds:
                self._held[thread] = (began, True)
                self.statistics.leaked += 1
                stack = stack_of_thread(thread)
                pools.report(Leak(self.alias, now - began, thread, stack, False))

    def gauges(self) -> Gauges:
        """Return how the pool stands."""
        size, in_use = self._open, self._places.inside
        return Gauges(
            size=size,
            idle=max(0, size - in_use),
            in_use=in_use,
            waiting=self._places.waiting,
            held_at_once=1 if in_use else 0,
        )


_lock = threading.Lock()
_targets: dict[str, HttpPool] = {}
_inherited: list[CountedClient] = []


def http(target: str) -> HttpPool:
    """Return this process's shared pool of a target; its limits are the row of that name."""
    found = _targets.get(target)
    if found is None:
        with _lock:
            found = _targets.get(target)
            if found is None:
                found = _targets[target] = HttpPool(target)
    return found


def forget_after_fork() -> None:
    """Leave the parent's clients alone; who holds a pool goes on with it, on other connections."""
    global _lock
    _lock = threading.Lock()
    _inherited.extend(pool.leave_to_parent() for pool in _targets.values())

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


class _Client:
    """A client and how many requests it is at; an old one is closed with the last of them."""

    def __init__(self, limits: Limits) -> None:
        self.began_at, self.requests, self.is_old = monotonic(), 0, False
        # The semaphore is the bound; so a lower limit needs no other client.
        self.transport = httpx.HTTPTransport(
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=limits.max_size,
                keepalive_expiry=limits.idle_timeout_seconds,
            )
        )
        self.client = httpx.Client(transport=self.transport, follow_redirects=False)

    def connections(self) -> list[Any]:
        """Return httpcore's connections; httpx has no public way to them."""
        return list(self.transport._pool.connections)


class _Trace:
    """What httpcore tells of one request: when it had its connection, and what connecting took."""

    __slots__ = ("_connecting_at", "_statistics", "got_at")

    def __init__(self, statistics: Statistics) -> None:
        self._statistics, self._connecting_at, self.got_at = statistics, 0.0, 0.0

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self._connecting_at = monotonic()
        elif event == "connection.connect_tcp.failed":
            self._statistics.errors += 1
        elif self._connecting_at and event.endswith("send_request_headers.started"):
            # With TLS, where there is any.
            self._statistics.connected(monotonic() - self._connecting_at)
            self._connecting_at = 0.0


class HttpPool:
    """Requests to one target, at most `max_size` at once; others wait in turn."""

    kind = "http"

    def __init__(self, target: str) -> None:
        self.alias, self.statistics = target, Statistics()
        self._limits, self._places = Limits(), FairSemaphore(1)
        self._lock = threading.Lock()
        self._held: dict[int, tuple[float, bool]] = {}  # by thread: since when, and if it was told
        self._now = _Client(self._limits)
        pools.add(self)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send a request and return its answer, read whole; `options` are httpx's.

        Raises httpx.PoolTimeout where no connection came free in time, and as httpx does.
        """
        with self.stream(method, url, **options) as answer:
            answer.read()
            return answer

    def get(self, url: str, **options: Any) -> httpx.Response:
        """Send a GET; as `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """Send a POST; as `request`."""
        return self.request("POST", url, **options)

    @contextmanager
    def stream(self, method: str, url: str, **options: Any) -> Iterator[httpx.Response]:
        """Send a request and give its answer before the body is read; as `request`."""
        places, statistics = self._places, self.statistics
        try:
            waited = places.acquire(self._limits.acquire_timeout_seconds)
        except AcquireTimeout:
            statistics.queued += 1
            statistics.timeouts += 1
            raise httpx.PoolTimeout(
                f"no connection to {self.alias!r} came free within "
                f"{self._limits.acquire_timeout_seconds:g} s: {places.limit} are in use"
            ) from None
        statistics.acquired += 1
        if waited:
            statistics.queued += 1
            statistics.waited(waited)
        thread, began = threading.get_ident(), monotonic()
        self._held[thread] = (began, False)
        client = self._enter()
        extensions = {**options.pop("extensions", {}), "trace": _Trace(statistics)}
        try:
            with client.client.stream(method, url, extensions=extensions, **options) as answer:
                yield answer
        finally:
            statistics.used(monotonic() - began)
            self._held.pop(thread, None)
            self._leave(client)
            places.release()

    def _enter(self) -> _Client:
        with self._lock:
            self._now.requests += 1
            return self._now

    def _leave(self, client: _Client) -> None:
        with self._lock:
            client.requests -= 1
            is_done = client.is_old and not client.requests
        if is_done:
            self._close(client)

    def _exchange(self) -> None:
        """Put a new client in place; the old one goes with the last request that it is at."""
        fresh = _Client(self._limits)
        with self._lock:
            old, self._now = self._now, fresh
            old.is_old = True
            is_done = not old.requests
        if is_done:
            self._close(old)

    def _close(self, client: _Client) -> None:
        self.statistics.closed += len(client.connections())
        client.client.close()

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
        size, in_use = len(self._now.connections()), self._places.inside
        return Gauges(
            size=size,
            idle=max(0, size - in_use),
            in_use=in_use,
            waiting=self._places.waiting,
            held_at_once=1 if in_use else 0,
        )


_lock = threading.Lock()
_targets: dict[str, HttpPool] = {}


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
    """Leave the parent's clients alone."""
    global _lock
    _lock = threading.Lock()
    _targets.clear()

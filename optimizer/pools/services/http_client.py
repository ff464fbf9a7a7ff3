"""An httpx client whose connections are counted as they are opened and closed."""

from collections.abc import Callable
from time import monotonic
from typing import Any

import httpcore
import httpx

from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.statistics import Statistics


class _CountingBackend(httpcore.SyncBackend):
    """httpcore's way to the network, with a watch; it is asked for new connections alone."""

    def __init__(self, statistics: Statistics, opened: Callable[[int], None]) -> None:
        self._statistics, self._opened = statistics, opened

    def connect_tcp(self, *arguments: Any, **named: Any) -> Any:
        started = monotonic()
        try:
            stream = super().connect_tcp(*arguments, **named)
        except Exception:
            self._statistics.errors += 1
            raise
        self._statistics.connected(monotonic() - started)
        return self._counted(stream)

    def _counted(self, stream: Any) -> Any:
        """Count the stream as open until it is closed, and the time that TLS takes."""
        start_tls, close, self_ = stream.start_tls, stream.close, self
        is_open = True
        self._opened(1)

        def counted_close() -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                self_._opened(-1)
                self_._statistics.closed += 1
            close()

        def timed_start_tls(*arguments: Any, **named: Any) -> Any:
            nonlocal is_open
            started = monotonic()
            over = start_tls(*arguments, **named)
            self_._statistics.connect_seconds += monotonic() - started
            is_open = False  # from here on the other one counts
            self_._opened(-1)
            return self_._counted(over)

        stream.start_tls, stream.close = timed_start_tls, counted_close
        return stream


class CountedClient:
    """A client and how many requests it is at; an old one is closed with the last of them."""

    def __init__(
        self, limits: Limits, statistics: Statistics, opened: Callable[[int], None]
    ) -> None:
        self.began_at, self.requests, self.is_old = monotonic(), 0, False
        transport = httpx.HTTPTransport()
        # Who may begin a request is bounded outside, so a lower limit needs no other client. The
        # way to the network is no argument of httpx's.
        transport._pool = httpcore.ConnectionPool(
            ssl_context=transport._pool._ssl_context,
            max_connections=None,
            max_keepalive_connections=limits.max_size,
            keepalive_expiry=limits.idle_timeout_seconds,
            network_backend=_CountingBackend(statistics, opened),
        )
        self.client = httpx.Client(transport=transport, follow_redirects=False)

    def close(self) -> None:
        """Close the client and its connections."""
        self.client.close()

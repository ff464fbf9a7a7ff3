"""The load balancer's part of the client, from threads: picks cost no trip to the server.

The first pick of a group fetches what the server knows of it; from then on a thread refreshes that,
and tells how calls went, so that they are in the statistics and ejections reach everybody. While
the server is away, picks go on by what was known last.
"""

import threading

from optimizer.client import balancing
from optimizer.client.balancing import DEFAULT_REFRESH_SECONDS, Acquired, View
from optimizer.client.cache import Send
from optimizer.client.protocol import TuneupError


class Balancer:
    """The load balancer: `client.balancer`."""

    def __init__(self, send: Send, refresh_seconds: float = DEFAULT_REFRESH_SECONDS) -> None:
        self._send, self._refresh_seconds = send, refresh_seconds
        self._lock, self._views = threading.Lock(), dict[str, View]()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.last_error: TuneupError | None = None

    def acquire(self, group: str, key: str | bytes = "") -> Acquired:
        """Return a backend for a `with` block, which is timed and counted.

            with tuneup.balancer.acquire("api", key="user:42") as backend:
                http.get(f"{backend.address}/profile").raise_for_status()

        The same key leads to the same backend where the group's strategy is sticky. Raises ApiError
        (`problem.type` is unknown-group) and Unavailable when a group is picked for the first time;
        entering the block raises NoBackend.
        """
        view = self._views.get(group)
        if view is None:
            view = self._first(group)
        return view.acquire(key)

    def refresh(self) -> None:
        """Tell how calls went, and fetch what the server knows, now. Raises as all calls do."""
        for group, view in list(self._views.items()):
            report = view.report()
            if report is not None:
                self._send(balancing.tell(group, report))
                view.sent()
            view.take(self._send(balancing.fetch(group)))

    def close(self) -> None:
        """Tell how the last calls went, and stop refreshing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _first(self, group: str) -> View:
        with self._lock:
            view = self._views.get(group)
            if view is None:
                view = self._views[group] = View(self._send(balancing.fetch(group)))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._follow, name="tuneup-balancer", daemon=True
                )
                self._thread.start()
            return view

    def _follow(self) -> None:
        while True:
            ends = self._closing.wait(self._refresh_seconds)
            try:
                self.refresh()
                self.last_error = None
            except TuneupError as error:
                self.last_error = error  # the next turn tries again; picks go on meanwhile
            if ends:
                return

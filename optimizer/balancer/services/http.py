"""The HTTP client that calls are forwarded with: one a process, with its pooled connections."""

import os

import httpx

_MOST_IDLE = 100


class _Client:
    """Made when it is first needed, and anew after a fork."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None

    def get(self) -> httpx.Client:
        if self._client is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=_MOST_IDLE)
            # No cookies, proxies or redirects: a call goes to the backend that was picked.
            self._client = httpx.Client(limits=limits, follow_redirects=False, trust_env=False)
        return self._client


_client = _Client()


def client() -> httpx.Client:
    """Return the client; a managed pool may take its place here."""
    return _client.get()


def _after_fork() -> None:
    global _client
    _client = _Client()


os.register_at_fork(after_in_child=_after_fork)

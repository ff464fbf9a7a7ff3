"""Drives a running server over HTTP and takes each answer's time.

One connection a thread is kept open, as bots and dashboards do; the next request of a thread goes
out when the answer to the one before is read whole (a closed loop).
"""

import http.client
import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
WARM_UP_RATIO = 0.1
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Unreachable(Exception):
    """No server answers at the address."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked for; `needs_key` sends the key along."""

    path: str
    needs_key: bool = False


@dataclass(slots=True)
class Sample:
    """What came of the requests to one endpoint: seconds of the good answers, and the bad ones."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    wall_seconds: float = 0.0

    def add(self, other: "Sample") -> None:
        """Take in another sample of the same endpoint, of another moment."""
        self.seconds += other.seconds
        self.errors += other.errors
        self.wall_seconds += other.wall_seconds

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.wall_seconds if self.wall_seconds else 0.0

    def quantile_ms(self, share: float) -> float:
        """Return a quantile (nearest rank) in milliseconds, 0 of an empty sample."""
        if not self.seconds:
            return 0.0
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    @property
    def mean_ms(self) -> float:
        return sum(self.seconds) / len(self.seconds) * 1000 if self.seconds else 0.0


def drive(url: str, endpoint: Endpoint, *, key: str, requests: int, concurrency: int) -> Sample:
    """Send so many requests over so many connections. Raises Unreachable.

    A tenth more goes first and is not counted.
    """
    headers = {"Authorization": f"Bearer {key}"} if endpoint.needs_key else {}
    _ask(url, endpoint.path, headers)
    shares = [requests // concurrency + (at < requests % concurrency) for at in range(concurrency)]
    samples = [Sample() for _ in shares]
    ready = threading.Barrier(concurrency + 1)
    threads = [
        threading.Thread(
            target=_one, args=(url, endpoint.path, headers, share, sample, ready), daemon=True
        )
        for share, sample in zip(shares, samples, strict=True)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    whole = Sample(wall_seconds=time.perf_counter() - started)
    for sample in samples:
        whole.add(sample)
    return whole


def _ask(url: str, path: str, headers: Mapping[str, str]) -> None:
    try:
        _Line(url, path, headers).ask()
    except (OSError, ValueError) as error:
        raise Unreachable(f"{url}{path} does not answer: {error}") from error


def _one(
    url: str,
    path: str,
    headers: Mapping[str, str],
    requests: int,
    sample: Sample,
    ready: threading.Barrier,
) -> None:
    line = _Line(url, path, headers)
    _send(line, max(1, int(requests * WARM_UP_RATIO)), Sample())
    ready.wait()
    _send(line, requests, sample)
    line.close()


def _send(line: "_Line", requests: int, sample: Sample) -> None:
    for _ in range(requests):
        started = time.perf_counter()
        try:
            status = line.ask()
        except (OSError, ValueError):
            sample.errors += 1
            line.close()
            continue
        took = time.perf_counter() - started
        if status == 200:
            sample.seconds.append(took)
        else:
            sample.errors += 1


class _Line:
    """One kept connection that sends the same request each time.

    It reads no more of an answer than it has to: what the client takes would count as the server's.
    """

    def __init__(self, url: str, path: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()

    def ask(self) -> int:
        """Send the request and read the answer whole; return its status.

        Raises OSError, and ValueError for what is no HTTP or tells no length.
        """
        if self._connection.sock is None:
            self._connection.connect()
        sock = self._connection.sock
        sock.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more(sock)
        head, _, content = answer.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        if found is None:
            raise ValueError("the answer does not tell its length")
        left = int(found[1]) - len(content)
        while left > 0:
            left -= len(self._more(sock))
        return int(head.split(None, 2)[1])

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    @staticmethod
    def _more(sock: socket.socket) -> bytes:
        part = sock.recv(65536)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        return part


def endpoints(paths: Sequence[str]) -> list[Endpoint]:
    """Return endpoints; all but /health need a key."""
    return [Endpoint(path, needs_key=path != "/health") for path in paths]

"""Drives a running server over HTTP and takes each answer's time.

One connection a thread is kept open, as bots and dashboards do; the next request of a thread goes
out when the answer to the one before is read whole (a closed loop).
"""

import http.client
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
WARM_UP_RATIO = 0.1


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
    connection = _connect(url)
    try:
        connection.request("GET", path, headers=dict(headers))
        connection.getresponse().read()
    except OSError as error:
        raise Unreachable(f"{url}{path} does not answer: {error}") from error
    finally:
        connection.close()


def _one(
    url: str,
    path: str,
    headers: Mapping[str, str],
    requests: int,
    sample: Sample,
    ready: threading.Barrier,
) -> None:
    connection = _connect(url)
    _send(connection, path, headers, max(1, int(requests * WARM_UP_RATIO)), Sample())
    ready.wait()
    _send(connection, path, headers, requests, sample)
    connection.close()


def _send(
    connection: http.client.HTTPConnection,
    path: str,
    headers: Mapping[str, str],
    requests: int,
    sample: Sample,
) -> None:
    for _ in range(requests):
        started = time.perf_counter()
        try:
            connection.request("GET", path, headers=dict(headers))
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            sample.errors += 1
            connection.close()
            continue
        took = time.perf_counter() - started
        if answer.status == 200:
            sample.seconds.append(took)
        else:
            sample.errors += 1


def _connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)


def endpoints(paths: Sequence[str]) -> list[Endpoint]:
    """Return endpoints; all but /health need a key."""
    return [Endpoint(path, needs_key=path != "/health") for path in paths]

"""HTTP: a decision on a hot key against an empty Django view, on the same server."""

import contextlib
import http.client
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.table import Row
from optimizer.operations import guard
from optimizer.operations.embedded_redis import free_port

CONNECTIONS, SECONDS, ROUNDS = 16, 1.5, 3
TOKEN = "tu_benchmrk_" + "b" * 43  # noqa: S105  (of a server that lives for seconds)


def http_rows() -> list[Row]:
    """Return requests a second of the empty view, of a check, and of sixteen in a call."""
    from benchmarks.ratelimit import ALLOWED, set_tier
    from optimizer.control import keys

    set_tier(**ALLOWED, local=True)
    keys.issue(name="benchmark", scopes=["ratelimit"], token=TOKEN)
    one = json.dumps({"subject": "http", "cost": 1})
    many = json.dumps({"charges": [{"subject": f"http{n}", "cost": 1} for n in range(16)]})
    best = dict.fromkeys(("empty", "check", "django", "many"), 0.0)
    with _server("benchmarks.ratelimit_empty:application") as empty, _server() as served:
        for _ in range(ROUNDS):
            for name, port, path, body in (
                ("empty", empty, "/", ""),
                ("check", served, "/internal/v1/ratelimit/check", one),
                # A query is nothing that the bare path takes: this one is Django's.
                ("django", served, "/internal/v1/ratelimit/check?django", one),
                ("many", served, "/internal/v1/ratelimit/check-many", many),
            ):
                best[name] = max(best[name], _load(port, path, body))
    return [
        Row("HTTP: empty Django view", best["empty"], "/s", 1.0),
        Row(
            "HTTP: check on a hot key",
            best["check"],
            "/s",
            best["check"] / best["empty"],
            "at least 0.8 x",
        ),
        Row(
            "HTTP: decisions, 16 in a call",
            best["many"] * 16,
            "/s",
            best["many"] * 16 / best["check"],
            "at least 10 x",
        ),
        Row("HTTP: check through Django's handler", best["django"], "/s"),
        Row(
            "HTTP: decisions, 16 in a call, to those",
            best["many"] * 16,
            "/s",
            best["many"] * 16 / best["django"],
        ),
    ]


@contextlib.contextmanager
def _server(application: str = "config.wsgi:application") -> Iterator[int]:
    """Run granian with one worker and one thread, beside Redis where there are two cores."""
    port = free_port()
    # fmt: off
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1", "--blocking-threads", "1", "--log-level", "warning",
        application,
    ]
    # fmt: on
    process = guard.spawn(command, output=subprocess.DEVNULL, env=dict(os.environ))
    try:
        _wait_for(port)
        if len(os.sched_getaffinity(0)) > 1:
            subprocess.run(["taskset", "-a", "-c", "-p", "0", str(process.pid)], check=False)
        yield port
    finally:
        guard.sweep(process)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError("granian did not start")


def _load(port: int, path: str, body: str) -> float:
    """Return answers a second over some keep-alive connections, each always with one request."""
    method = "POST" if body else "GET"
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    ready = selectors.DefaultSelector()
    buffers: dict[socket.socket, bytes] = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        ready.register(connection, selectors.EVENT_READ)
        buffers[connection] = b""
        connection.sendall(request)
    answers, started = 0, time.monotonic()
    while (now := time.monotonic()) < started + SECONDS:
        for key, _ in ready.select(1.0):
            connection = key.fileobj  # type: ignore[assignment]
            buffers[connection] += connection.recv(65536)
            if _is_whole(buffers[connection]):
                assert buffers[connection].startswith(b"HTTP/1.1 200"), buffers[connection]
                buffers[connection] = b""
                answers += 1
                connection.sendall(request)
    for connection in buffers:
        connection.close()
    return answers / (now - started)


def _is_whole(answer: bytes) -> bool:
    head, found, content = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        return content.endswith(b"0\r\n\r\n")
    _, _, length = lowered.partition(b"content-length: ")
    return len(content) >= int(length.split(b"\r\n")[0])

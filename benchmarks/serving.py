"""Servers for benchmarks, and calls over kept connections, each always with one request."""

import contextlib
import http.client
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from optimizer.operations import guard
from optimizer.operations.embedded_redis import free_port

CONNECTIONS, SECONDS = 16, 1.5


@contextlib.contextmanager
def server(application: str = "config.wsgi:application") -> Iterator[int]:
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


def load(port: int, path: str, token: str, body: str = "") -> float:
    """Return answers a second over some keep-alive connections."""
    method = "POST" if body else "GET"
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
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

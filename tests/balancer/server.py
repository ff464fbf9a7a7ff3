"""Real HTTP servers that answer as a test tells them."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass
class Server:
    """`status`, `delay_seconds`, `headers` and `parts` of its answers may change at any time."""

    url: str = ""
    port: int = 0
    status: int = 200
    delay_seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=lambda: [b"hello"])
    gate: threading.Event | None = None  # waited for before the last part
    breaks: bool = False  # ends the connection in the midst of the body
    seen: list[Seen] = field(default_factory=list)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Say nothing: callers go when they please."""


@contextmanager
def server(**fields: Any) -> Iterator[Server]:
    found = Server(**fields)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.seen.append(Seen(self.command, self.path, self.headers.items(), body))
            time.sleep(found.delay_seconds)
            self.send_response(found.status)
            length = sum(map(len, found.parts)) + (5 if found.breaks else 0)
            for name, value in {"Content-Length": str(length), **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            for part in found.parts[:-1]:
                self.wfile.write(part)
                self.wfile.flush()
            if found.gate is not None:
                found.gate.wait(30)
            self.wfile.write(found.parts[-1])
            if found.breaks:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    http = _Http(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    found.port = http.server_port
    found.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield found
    finally:
        http.shutdown()
        http.server_close()


@contextmanager
def servers(count: int) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [stack.enter_context(server()) for _ in range(count)]

"""A real HTTP server that keeps what it got and answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What came: paths, headers, bodies. `answer` gives status and headers for a body."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.raw: list[str] = []
        self.answer: Callable[[Any], tuple[int, dict[str, str]]] = lambda _: (200, {})
        self.url = ""


@contextmanager
def receiver() -> Iterator[Receiver]:
    found, lock = Receiver(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
            body = json.loads(raw)
            with lock:
                status, headers = found.answer(body)
                found.raw.append(raw)
                found.bodies.append(body)
                found.headers.append({name.lower(): one for name, one in self.headers.items()})
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/items"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()

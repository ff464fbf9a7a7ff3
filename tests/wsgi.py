"""Calls to a WSGI application, without a server and without Django's test client."""

import io
import json
from typing import Any


class Answer:
    """What came out of a WSGI application."""

    def __init__(self, application: Any, method: str, path: str, body: Any = b"", **environ: Any):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "localhost",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(content),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
        }
        if method == "POST":
            given |= {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(content))}
        self.content = b"".join(application({**given, **environ}, self._start))

    def _start(self, status: str, headers: list[tuple[str, str]], _: object = None) -> None:
        self.status = int(status.split()[0])
        self.headers = {name.lower(): value for name, value in headers}

    def json(self) -> Any:
        return json.loads(self.content)


def left_to_django(environ: dict[str, Any], start_response: Any) -> tuple[bytes]:
    """Stand where Django's handler would, and say so."""
    start_response("599 Left to Django", [])
    return (environ["wsgi.input"].read(),)

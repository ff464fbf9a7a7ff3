"""Real child processes that share the test's database and Redis."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.db import connection

_PRELUDE = """
import os
def print(*parts):  # in one write: the lines of forked processes share a pipe
    os.write(1, (" ".join(map(str, parts)) + "\\n").encode())
import django
django.setup()
from django.conf import settings
settings.WATCH_LIVE_SETTINGS = True
"""


def database_url() -> str:
    """Return the test database as a DATABASE_URL for another process."""
    name, at = connection.settings_dict["NAME"], connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    login = f"{at['USER']}:{at['PASSWORD']}@" if at["USER"] else ""
    return f"postgres://{login}{at['HOST'].replace('/', '%2F')}:{at['PORT']}/{name}"


class Child:
    """A Python process that runs `code` and talks in lines."""

    def __init__(self, code: str, **environment: str) -> None:
        self._unread = b""
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", _PRELUDE + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that what it forks ends with it
            env={
                **os.environ,
                "DATABASE_URL": database_url(),
                "REDIS_URL": settings.REDIS_URL,
                **environment,
            },
        )

    def read(self, within_seconds: float) -> str | None:
        """Return the next line, None where none comes in time or the process has ended."""
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        until = time.monotonic() + within_seconds
        while b"\n" not in self._unread:  # a pipe object would hide lines in its own buffer
            ready, _, _ = select.select([output], [], [], max(0.0, until - time.monotonic()))
            if not ready or not (more := os.read(output, 65536)):
                return None
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode().strip()

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read_until(self, line: str, within_seconds: float) -> float:
        """Wait for a line; return the seconds it took. Raises AssertionError."""
        started = time.monotonic()
        seen = []
        while (left := started + within_seconds - time.monotonic()) > 0:
            said = self.read(left)
            if said == line:
                return time.monotonic() - started
            seen.append(said)
        raise AssertionError(f"{line!r} did not come within {within_seconds} s, but {seen}")

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def children(count: int, code: str, **environment: str) -> Iterator[list[Child]]:
    """Run `count` children and end them all."""
    started = [Child(code, **environment) for _ in range(count)]
    try:
        yield started
    finally:
        for child in started:
            child.close()

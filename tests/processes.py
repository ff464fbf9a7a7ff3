"""Programs of an installation that tests start: a worker, a web server; what they say is kept."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.children import database_url

_STOP_SECONDS = 60.0


class Program:
    """A running Python program."""

    def __init__(self, module: str, *arguments: str, log: Path, **environment: str) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.batches.worker_settings",
                    "DATABASE_URL": database_url(),
                    "REDIS_URL": settings.REDIS_URL,
                    "LOG_FORMAT": "json",
                    **environment,
                },
            )

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def lines(self, **fields: Any) -> list[dict[str, Any]]:
        """Return the log lines that have these fields."""
        objects = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [one for one in objects if fields.items() <= one.items()]

    def wait_for(self, condition: Callable[[], Any], within_seconds: float = 90) -> Any:
        """Return what the condition gives once that is true. Raises AssertionError."""
        until = time.monotonic() + within_seconds
        while not (found := condition()):
            assert self.process.poll() is None and time.monotonic() < until, self.text()[-6000:]
            time.sleep(0.05)
        return found

    def stop(self) -> float:
        """End it as a supervisor does; return the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(_STOP_SECONDS)
        return time.monotonic() - started

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def program(module: str, *arguments: str, log: Path, **environment: str) -> Iterator[Program]:
    """Run a program and kill what is left of it."""
    running = Program(module, *arguments, log=log, **environment)
    try:
        yield running
    finally:
        running.kill()


@contextmanager
def worker(folder: Path, **environment: str) -> Iterator[Program]:
    """Run a Celery worker with one process; it is ready."""
    arguments = ("--app", "config", "--quiet", "worker", "--concurrency", "1")
    log = folder / "worker.log"
    quick = ("--without-mingle", "--without-gossip")
    with program("celery", *arguments, *quick, log=log, **environment) as running:
        running.wait_for(lambda: " ready." in running.text())
        yield running

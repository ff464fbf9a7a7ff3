"""A Celery worker for a test: its own process, the test's database and Redis."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from optimizer.operations import guard
from tests.children import database_url

START_SECONDS = 60.0


@contextmanager
def worker(folder: Path, *arguments: str) -> Iterator[None]:
    """Run a worker until the block ends. Raises AssertionError with its log."""
    log = folder / "worker.log"
    command = [sys.executable, "-m", "celery", "--app", "config", "worker", "-l", "INFO"]
    command += ["--without-mingle", "--without-gossip", "--without-heartbeat", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.batches.worker_settings",
                "DATABASE_URL": database_url(),
                "REDIS_URL": settings.REDIS_URL,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while " ready." not in (said := log.read_text(errors="replace")):
            assert process.poll() is None and time.monotonic() < until, said[-4000:]
            time.sleep(0.05)
        yield
    finally:
        guard.sweep(process)

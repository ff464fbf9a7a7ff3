"""A MongoDB-compatible server for tests: real wire protocol, a process of its own.

SecantusDB is GPL-2, so it has a virtual environment of its own and is never imported. That is
installed once, from PyPI, into a folder under `var` whose name tells its version and Python.
"""

import fcntl
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from optimizer.operations import guard
from optimizer.operations.embedded_redis import free_port

REQUIREMENTS = Path(__file__).with_name("secantus.txt")
START_SECONDS = 60.0
INSTALL_SECONDS = 150.0  # below the time that one test may take


def server_program() -> Path:
    """Return the server's program, installed by whichever process comes first.

    Fails the test, with pip's own words, where it cannot be installed.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = Path(settings.BASE_DIR, "var", f"secantus-{digest}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _install(folder / "venv")
            (folder / "done").touch()
    return folder / "venv" / "bin" / "secantusd-py"


def _install(venv: Path) -> None:
    pip: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
    ]
    steps: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", "--clear", venv],
        [*pip, "install", "--pre", "--requirement", REQUIREMENTS],
    ]
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{REQUIREMENTS.name} was not installed within {INSTALL_SECONDS} s")
        if done.returncode:
            pytest.fail(
                f"The tests need {REQUIREMENTS.name}, which could not be installed from PyPI "
                f"into {venv}:\n{done.stdout}{done.stderr}"
            )


@contextmanager
def mongo_server() -> Iterator[str]:
    """Run a server with no data and yield its address; it ends with this process, however that
    ends.
    """
    program, port = server_program(), free_port()
    with tempfile.TemporaryDirectory(prefix="tuneup-mongo-") as folder:
        log_path = Path(folder, "log")
        command: list[str | Path] = [program, "--host", "127.0.0.1", "--port", str(port)]
        command += ["--storage-path", Path(folder, "data"), "--cache-size", "256M"]
        command += ["--enable-test-commands"]
        with log_path.open("wb") as log:
            process = guard.spawn(command, output=log)
        address = f"mongodb://127.0.0.1:{port}/"
        try:
            _wait(address, process, log_path)
            yield address
        finally:
            guard.sweep(process)  # nothing in it is to survive
            process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    from pymongo import MongoClient  # here, so that tests without a server do not import it
    from pymongo.errors import PyMongoError

    deadline = time.monotonic() + START_SECONDS
    client: MongoClient[dict[str, object]]
    with MongoClient(address, serverSelectionTimeoutMS=500) as client:
        while True:
            try:
                client.admin.command("hello")
                return
            except PyMongoError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"The MongoDB server did not start ({error}): {log.read_text()}")


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """The address of a server that this test process shares with nobody."""
    with mongo_server() as address:
        yield address

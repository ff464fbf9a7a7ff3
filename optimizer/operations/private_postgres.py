"""A PostgreSQL cluster for one test run: in a temporary folder, on a free loopback port."""

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from optimizer.operations import guard
from optimizer.operations.embedded_redis import free_port

START_SECONDS = 60.0
_DEBIAN_FOLDER = Path("/usr/lib/postgresql")
# Nothing in it is to survive: durability is traded for speed.
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100")


def find_binaries() -> Path | None:
    """Return the folder of the newest server binaries: on the PATH, or where Debian keeps them."""
    folders = set(_DEBIAN_FOLDER.glob("*/bin"))
    if found := shutil.which("postgres"):
        folders.add(Path(found).resolve().parent)
    usable = [one for one in folders if (one / "postgres").exists() and (one / "initdb").exists()]
    return max(usable, key=version_of, default=None)


def version_of(binaries: Path) -> int:
    """Return the major version of the server binaries in a folder."""
    done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True)
    found = re.search(r"(\d+)", done.stdout)
    return int(found[1]) if found else 0


def _unprivileged() -> tuple[list[str], str | None]:
    """Return what to put before a command, and the user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return [], None
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"], "postgres"


@contextmanager
def private_postgres(binaries: Path) -> Iterator[str]:
    """Run a cluster and yield the URL of its superuser.

    Raises CalledProcessError or TimeoutError, with the server's words, when it does not start.
    """
    prefix, user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="tuneup-postgres-") as name:
        folder = Path(name)
        password, port = secrets.token_urlsafe(16), free_port()
        password_file, log_file = folder / "password", folder / "log"
        password_file.write_text(password)
        if user:
            for path in (folder, password_file):
                shutil.chown(path, user)
        initdb: list[str | Path] = [
            binaries / "initdb",
            "--pgdata",
            folder / "data",
            "--username=postgres",
        ]
        initdb += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
        done = subprocess.run(
            [*prefix, *initdb, "--encoding=UTF8", "--locale=C"],
            cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise ChildProcessError(f"initdb failed: {done.stderr}")
        server: list[str | Path] = [
            *prefix,
            binaries / "postgres",
            "-D",
            folder / "data",
            "-p",
            str(port),
        ]
        server += ["-h", "127.0.0.1", "-k", folder]
        server += [part for option in _OPTIONS for part in ("-c", option)]
        with log_file.open("wb") as log:
            process = guard.spawn(server, output=log)
        url = f"postgres://postgres:{password}@127.0.0.1:{port}/postgres"
        try:
            _wait(url, process, log_file)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # a client has stayed connected
                guard.sweep(process)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL did not start: {log.read_text()}") from error
            time.sleep(0.05)

"""Streaming replicas of the cluster that the tests run on, made by pg_basebackup."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from optimizer.balancer.engine.lsn import end_of_records, parse
from optimizer.operations import guard
from optimizer.operations.embedded_redis import free_port
from optimizer.operations.private_postgres import _unprivileged, find_binaries

START_SECONDS = 120.0
_OPTIONS = ("fsync=off", "hot_standby=on", "max_connections=100", "hot_standby_feedback=on")


@dataclass
class Replica:
    """A standby of its own folder and port."""

    folder: Path
    port: int
    login: str
    delay_seconds: float
    process: "subprocess.Popen[bytes] | None" = None

    def url(self, database: str) -> str:
        return f"postgres://{self.login}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        prefix, _ = _unprivileged()
        binaries = find_binaries()
        assert binaries is not None
        command = [*prefix, binaries / "postgres", "-D", self.folder / "data", "-p", self.port,
                   "-h", "127.0.0.1", "-k", self.folder,
                   "-c", f"recovery_min_apply_delay={int(self.delay_seconds * 1000)}"]  # fmt: skip
        for option in _OPTIONS:
            command += ["-c", option]
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process is None or self.process.poll() is not None:
                # Anew, as a killed server's last processes may still hold its memory.
                with (self.folder / "log").open("ab") as log:
                    self.process = guard.spawn([str(one) for one in command], output=log)
            try:
                self.ask("SELECT 1")
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.1)

    def caught_up(self) -> None:
        """Wait until it has all that the primary has committed."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_insert_lsn()::text")
            wanted = end_of_records(parse(cursor.fetchone()[0]))
        deadline = time.monotonic() + START_SECONDS
        while parse(at := str(self.ask("SELECT pg_last_wal_replay_lsn()::text"))) < wanted:
            says = f"{at} of {wanted:x}: {(self.folder / 'log').read_text()}"
            assert time.monotonic() < deadline, says
            time.sleep(0.05)

    def ask(self, sql: str) -> object:
        with psycopg.connect(self.url("postgres"), connect_timeout=5, autocommit=True) as one:
            row = one.execute(sql).fetchone()
            return row[0] if row else None

    def pause(self) -> None:
        self.ask("SELECT pg_wal_replay_pause()")
        while self.ask("SELECT pg_get_wal_replay_pause_state()") != "paused":
            time.sleep(0.01)

    def resume(self) -> None:
        self.ask("SELECT pg_wal_replay_resume()")

    def kill(self) -> None:
        """End the server and all its processes at once."""
        if self.process is not None:
            guard.sweep(self.process)
            self.process.wait()
            self.process = None
        pid = self.folder / "data" / "postmaster.pid"
        pid.unlink(missing_ok=True)


@contextmanager
def standbys(*delays_seconds: float, of: Any = connection) -> Iterator[list[Replica]]:
    """Run a replica of a connection's cluster for each delay with which it applies commits."""
    at, binaries = of.settings_dict, find_binaries()
    assert binaries is not None
    prefix, user = _unprivileged()
    login = f"host={at['HOST']} port={at['PORT']} user={at['USER']} password={at['PASSWORD']}"
    with psycopg.connect(f"{login} dbname=postgres", autocommit=True) as primary:
        # Checkpoints of other tests' backups would remove what a replica still needs.
        primary.execute("ALTER SYSTEM SET wal_keep_size = '1GB'")
        primary.execute("SELECT pg_reload_conf()")
    made: list[Replica] = []
    with tempfile.TemporaryDirectory(prefix="tuneup-standby-") as name:
        os.chmod(name, 0o755)  # noqa: S103  (the folders in it are private)
        try:
            for number, delay in enumerate(delays_seconds):
                folder = Path(name) / str(number)
                folder.mkdir(mode=0o700)
                if user:
                    shutil.chown(folder, user)
                one = Replica(folder, free_port(), f"{at['USER']}:{at['PASSWORD']}", delay)
                done = subprocess.run(
                    [*prefix, binaries / "pg_basebackup", "--pgdata", folder / "data",
                     "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
                     "--wal-method=stream", "--dbname", login],
                    cwd=folder, capture_output=True, text=True,
                )  # fmt: skip
                assert done.returncode == 0, re.sub(r"password=\S+", "", done.stderr)
                made.append(one)
                one.start()
            yield made
        finally:
            for one in made:
                one.kill()

"""`manage.py up` itself, on a folder and ports of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from redis import Redis

from optimizer.operations.embedded_redis import free_port

pytestmark = pytest.mark.any_database

OURS = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "TUNEUP_VAR_DIR")


class Installation:
    """A var folder and a port, and the `up`s started on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.started: list[subprocess.Popen[bytes]] = []

    def up(self, **environment: str) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        with self.output(len(self.started)).open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--no-venv", "--port", str(self.port)],
                cwd=settings.BASE_DIR,
                env={
                    **inherited,
                    "TUNEUP_VAR_DIR": str(self.folder / "var"),
                    "WEB_WORKERS": "2",
                    **environment,
                },
                stdout=output,
                stderr=output,
            )
        self.started.append(process)
        return process

    def output(self, number: int = -1) -> Path:
        number = number if number >= 0 else len(self.started) - 1
        return self.folder / f"output-{number}"

    def said(self) -> str:
        """Return what the last `up` has said."""
        return self.output().read_text()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 90
        while "Ctrl-C stops everything" not in self.said():
            assert self.started[-1].poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def redis(self) -> Redis:
        return Redis.from_url((self.folder / "var" / "redis" / "url").read_text())


@pytest.fixture
def installation(tmp_path) -> Iterator[Installation]:
    one = Installation(tmp_path)
    yield one
    for process in one.started:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def test_an_installation_lives_through_a_kill(installation):
    first = installation.up()
    installation.wait_until_ready()
    said = installation.said()
    token = re.search(r"tu_[A-Za-z0-9]{8}_[A-Za-z0-9_-]+", said)
    assert token and f"-H 'Authorization: Bearer {token[0]}'" in said
    assert "password " in said
    roles = {line.split("|")[0].strip() for line in said.splitlines() if "|" in line}
    assert "up" not in roles, "nothing had to be started again"
    family = psutil.Process(first.pid).children(recursive=True)
    assert len(family) >= 4 * 2 + 2 + 2  # guarded programs, web workers, pool processes

    second = installation.up()
    assert second.wait(30) == 1
    assert f"already running here (pid {first.pid}, http://127.0.0.1:" in installation.said()

    with installation.redis() as redis:
        redis.set("kept", "yes")
        time.sleep(1.1)  # the append-only file reaches the disk once a second
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    again = installation.up()  # at once: it waits for the last of the killed one's processes
    installation.wait_until_ready()
    assert psutil.wait_procs(family, timeout=0.1)[1] == []
    with installation.redis() as redis:
        assert redis.get("kept") == b"yes"
    said = installation.said()
    assert not re.search(r"tu_[A-Za-z0-9]{8}_", said), "a secret is shown once"
    assert "shown only this once" not in said
    assert '"Authorization: Bearer $TUNEUP_API_KEY"' in said

    family = psutil.Process(again.pid).children(recursive=True)
    again.send_signal(signal.SIGINT)
    assert again.wait(60) == 0
    assert psutil.wait_procs(family, timeout=0.1)[1] == []
    stopped = re.findall(r"stopping (\w+)$", installation.said(), re.MULTILINE)
    assert stopped[-4:] == ["beat", "worker", "web", "redis"]


def test_secrets_given_by_the_environment_are_taken_and_not_shown(installation):
    token = "tu_abcdefgh_" + "0123456789" * 4
    installation.up(
        ADMIN_USERNAME="ada", ADMIN_PASSWORD="correct horse battery", TUNEUP_API_KEY=token
    )
    installation.wait_until_ready()
    assert "user ada, password as ADMIN_PASSWORD gives" in installation.said()
    assert token not in installation.said()
    assert "correct horse battery" not in installation.said()
    page = f"http://127.0.0.1:{installation.port}/admin/login/"
    with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310
        assert answer.status == 200


def test_a_port_in_use_is_an_error_before_anything_starts(installation):
    with socket.create_server(("127.0.0.1", installation.port)):
        assert installation.up().wait(30) == 1
    assert f"Port {installation.port} on 127.0.0.1 is in use." in installation.said()
    assert not (installation.folder / "var" / "redis").exists()


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("ADMIN_PASSWORD", "short", "at least 8 characters"),
        ("TUNEUP_API_KEY", "not-a-key", "Must be tu_<8 letters or digits>_"),
    ],
)
def test_a_bad_first_secret_is_named_with_its_rule(installation, variable, value, rule):
    assert installation.up(**{variable: value}).wait(60) == 1
    assert re.search(rf"{variable}: .*{rule}", installation.said())

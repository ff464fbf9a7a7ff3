"""An installation from a Git repository, in which the commands of the runbook run."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.conf import settings

from optimizer.operations.embedded_redis import free_port
from tests.operations.runbook.book import Section, section
from tests.programs import program

PASSWORD = "a-long-test-password"
PARTS = ("config", "optimizer", "caching", "ratelimit", "templates")
FILES = ("manage.py", "requirements.txt")
OURS = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "TUNEUP_VAR_DIR", "PYTEST_ADDOPTS")


class Installation:
    """A checkout with its own var folder and port."""

    def __init__(self, folder: Path) -> None:
        self.origin, self.checkout = folder / "origin", folder / "checkout"
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OURS},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        self.password = PASSWORD
        self.http = httpx.Client(base_url=self.address, timeout=60)
        self._make(folder)

    def _make(self, folder: Path) -> None:
        for name in PARTS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(Path(settings.BASE_DIR, name), self.origin / name, ignore=ignored)
        for name in FILES:
            shutil.copy(Path(settings.BASE_DIR, name), self.origin / name)
        self.git("init", "--quiet")
        self.commit("Version 1")
        clone = ["git", "clone", "--quiet", str(self.origin), str(self.checkout)]
        subprocess.run(clone, check=True, env=self.environment, cwd=folder)
        (self.checkout / ".venv").symlink_to(sys.prefix)
        (self.checkout / ".env").write_text(
            f"WEB_PORT={self.port}\nWEB_WORKERS=1\nCELERY_CONCURRENCY=1\nACCESS_LOG=true\n"
            f"ADMIN_PASSWORD={PASSWORD}\n"
        )

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        subprocess.run(
            ["git", *identity, *arguments], cwd=self.origin, env=self.environment, check=True
        )

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def section(self, title: str, **more: str) -> AbstractContextManager[Section]:
        """Open a section of the runbook; what "Before you begin" has set is set."""
        # The address, and the environment: the tests run in one that is not the checkout's own.
        changes = {
            "http://127.0.0.1:8000": self.address,
            "manage.py up": "manage.py up --no-venv",
        }
        return section(title, self.checkout, {**self.environment, **more}, changes)

    def begin(self) -> None:
        """Paste what is to be pasted first, and keep its variables for the other sections."""
        names = ("TUNEUP", "ONCALL", "KEY", "AUTH", "JSON")
        with self.section("Before you begin") as opened:
            opened.left.pop()  # the end of the night: test_night.py
            assert opened.paste() == ""
            said = opened._shell.run("\n".join(f'printf "%s\\n" "${name}"' for name in names))
        self.environment |= dict(zip(names, said.splitlines(), strict=True))
        self.http.headers["Authorization"] = f"Bearer {self.environment['KEY']}"

    @property
    def first_key(self) -> str:
        """Return the key that the first start has shown."""
        (found, *_) = re.findall(r"tu_[A-Za-z0-9]{8}_[A-Za-z0-9_-]+", self.log())
        return str(found)

    def log(self) -> str:
        return (self.checkout / "tuneup.log").read_text(errors="replace")

    def pid(self) -> int:
        """Return the process that watches all others."""
        return int((self.checkout / "var" / "up.lock").read_text().split()[0])

    def family(self, pattern: str) -> list[psutil.Process]:
        """Return the processes of this installation whose command fits."""
        children = psutil.Process(self.pid()).children(recursive=True)
        return [one for one in children if re.search(pattern, " ".join(one.cmdline()))]

    def freeze(self, pattern: str) -> list[psutil.Process]:
        """Let processes hang. Their guards go on."""
        frozen = [one for one in self.family(pattern) if "guard" not in " ".join(one.cmdline())]
        assert frozen, pattern
        for one in frozen:
            one.send_signal(signal.SIGSTOP)
        return frozen

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the internal API. Raises AssertionError where it refuses."""
        answer = self.http.request(method, f"/internal/v1/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def checks(self) -> dict[str, str]:
        """Return what /ready says of each part."""
        return {
            name: check["status"]
            for name, check in self.http.get("/ready").json()["checks"].items()
        }

    def is_up(self) -> bool:
        try:
            return bool(self.http.get("/ready").json().get("status") == "up")
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End it by any means."""
        if not (self.checkout / "var" / "up.lock").exists():
            return
        try:
            process = psutil.Process(self.pid())
            family = [process, *process.children(recursive=True)]
        except (psutil.NoSuchProcess, IndexError):
            return
        if "manage.py" not in " ".join(process.cmdline()):
            return
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=60)
        for one in alive:
            one.kill()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One running installation for all sections; it was started by the page's own commands."""
    for name in ("git", "curl", "jq", "flock", "pgrep"):
        program(name)
    one = Installation(tmp_path_factory.mktemp("runbook"))
    try:
        with one.section("Start") as start:
            start.paste()
            assert '"status": "up"' in start.paste() or one.is_up()
        one.begin()
        yield one
    finally:
        one.stop()
        one.http.close()

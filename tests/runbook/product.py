"""An installation as the runbook finds one: a copy of the code in git, a server, `manage.py up`."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
from django.conf import settings

from optimizer.operations.embedded_redis import free_port
from tests.runbook import book

PASSWORD = "a-long-test-password"
# What the suite runs with and a person's shell does not have.
OURS = ("DJANGO_SETTINGS_MODULE", "REDIS_URL", "TUNEUP_METRICS_DIR", "PROMETHEUS_MULTIPROC_DIR")
NOT_COPIED = (".git", ".venv", "var", ".env", ".metrics", "__pycache__", ".*_cache", ".import*")
# Programs that only a deployment has: they note what they were asked for.
STAND_INS = ("systemctl", "journalctl", "docker")


class Product:
    """A folder with the code, the environment of a person on call, and what runs there."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.home, self.var, self.asked = folder / "tuneup", folder / "var", folder / "asked"
        self.log = self.home / "tuneup.log"
        self.address = f"http://127.0.0.1:{free_port()}"
        self.key = f"tu_{secrets.token_hex(4)}_{secrets.token_hex(20)}"
        self._starts: list[subprocess.Popen[bytes]] = []
        shutil.copytree(
            settings.BASE_DIR, self.home, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True
        )
        (self.home / ".venv").symlink_to(sys.prefix)
        stand_ins = folder / "bin"
        stand_ins.mkdir()
        for name in STAND_INS:
            path = stand_ins / name
            path.write_text(f'#!/bin/sh\necho {name} "$@" >> {self.asked}\n')
            path.chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OURS},
            "PATH": f"{stand_ins}:{os.environ['PATH']}",
            "TUNEUP": self.address,
            "KEY": self.key,
            "DATABASE_URL": database_url,
            "TUNEUP_VAR_DIR": str(self.var),
            "TUNEUP_API_KEY": self.key,
            "ADMIN_PASSWORD": PASSWORD,
            "WEB_PORT": self.address.rpartition(":")[2],
            "WEB_WORKERS": "1",
            "CELERY_CONCURRENCY": "1",
            "LOG_FORMAT": "json",
            "ACCESS_LOG": "true",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }

    def command(self, block: book.Block) -> list[str]:
        setup = book.of(book.SETUP)[0].text
        return ["bash", "-euo", "pipefail", "-c", f"{setup}\n{block.text}"]

    def run(
        self, block: book.Block, *, code: int = 0, typed: str = "", **environment: str
    ) -> str:
        """Run a block as a person pastes it; return what it prints. Raises AssertionError."""
        done = subprocess.run(
            self.command(block),
            cwd=self.home,
            env={**self.environment, **environment},
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            start_new_session=True,
        )
        says = f"{book.FILE.name}, line {block.line}: exit code {done.returncode}\n{block.text}"
        assert done.returncode == code, f"{says}\n{done.stdout}\n{self.said()[-3000:]}"
        return done.stdout

    def start(self, block: book.Block) -> None:
        """Run a block that stays in front; return once the product is ready."""
        ready = self.said().count("Tuneup is ready")
        with self.log.open("ab") as output:
            started = subprocess.Popen(
                self.command(block),
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._starts.append(started)
        self.wait_until(lambda: self.said().count("Tuneup is ready") > ready)

    @property
    def is_running(self) -> bool:
        return self._starts[-1].poll() is None

    def wait_until_stopped(self) -> int:
        return self._starts[-1].wait(60)

    def wait_until(self, condition: Callable[[], Any], within_seconds: float = 90) -> Any:
        """Return what the condition gives once that is true. Raises AssertionError."""
        deadline = time.monotonic() + within_seconds
        while not (found := condition()):
            assert self.is_running and time.monotonic() < deadline, self.said()[-6000:]
            time.sleep(0.1)
        return found

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(method, f"{self.address}/{path}", headers=bearer, timeout=30, **more)

    def checks(self) -> dict[str, str]:
        """Return the state of each check of /ready."""
        told = self.call("GET", "ready").json()
        return {name: one["status"] for name, one in told.get("checks", {}).items()}

    def is_up(self) -> bool:
        try:
            return bool(self.call("GET", "ready").json().get("status") == "up")
        except httpx.HTTPError:
            return False

    def pids(self, role: str) -> list[int]:
        rows = self.call("GET", "internal/v1/control/processes").json()
        return [one["pid"] for one in rows if one["role"] == role]

    def deployment_asked(self) -> list[str]:
        """Return what the programs of a deployment were asked for, and forget it."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        self.asked.unlink(missing_ok=True)
        return lines

    def end(self) -> None:
        for one in self._starts:
            left = []
            if one.poll() is None:
                left = psutil.Process(one.pid).children(recursive=True)
                for process in left:
                    if process.is_running() and "up" in process.cmdline():
                        process.send_signal(signal.SIGTERM)
                try:
                    one.wait(60)
                except subprocess.TimeoutExpired:
                    one.kill()
                    one.wait()
            for process in left:
                if process.is_running():
                    process.kill()

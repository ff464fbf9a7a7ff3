"""The whole system as a newcomer starts it: `manage.py up` with its processes, and a browser."""

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    StorageState,
    expect,
    sync_playwright,
)

from optimizer.operations.embedded_redis import free_port
from tests.programs import program

PASSWORD = "a-long-test-password"
START_SECONDS = 90
STOP_SECONDS = 30
SETTLE_SECONDS = 20


@dataclass
class Stack:
    """A running installation."""

    address: str
    api_key: str
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def check(self, subject: str = "example", **more: object) -> httpx.Response:
        return httpx.post(
            f"{self.address}/internal/v1/ratelimit/check",
            json={"subject": subject, **more},
            headers={"Authorization": f"Bearer {self.api_key}"},
            timeout=60,
        )

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    def log(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")


def start(folder: Path, *, web_workers: int = 2, **more: str) -> Stack:
    """Start `manage.py up` in a folder of its own and wait until it is ready."""
    port = free_port()
    key = f"tu_{secrets.token_hex(4)}_{secrets.token_hex(20)}"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
        "DJANGO_SETTINGS_MODULE": "tests.end_to_end.stack_settings",
        "TUNEUP_VAR_DIR": str(folder),
        "WEB_PORT": str(port),
        "WEB_WORKERS": str(web_workers),
        "ADMIN_PASSWORD": PASSWORD,
        "TUNEUP_API_KEY": key,
        **more,
    }
    with (folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--no-venv"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=settings.BASE_DIR,
            env=environment,
        )
    stack = Stack(f"http://127.0.0.1:{port}", key, folder, environment, process)
    deadline = time.monotonic() + START_SECONDS
    while "Tuneup is ready" not in stack.log():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(stack)
            raise AssertionError(f"up did not get ready:\n{stack.log()}")
        time.sleep(0.1)
    return stack


def stop(stack: Stack) -> None:
    stack.process.send_signal(signal.SIGTERM)
    try:
        stack.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        stack.process.kill()
        stack.process.wait()


def database_of(name: str) -> dict[str, str]:
    """Return the environment of a database of its own: the suite's server where it has one."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        return {"DATABASE_URL": ""}
    import psycopg

    database = re.sub(r"\W", "_", f"e2e_{name}_{secrets.token_hex(4)}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
    head, _, _ = url.partition("?")
    return {"DATABASE_URL": f"{head.rpartition('/')[0]}/{database}"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running system for all browser and API tests of this worker: 4 web, 2 Celery workers."""
    folder = tmp_path_factory.mktemp("stack")
    running = start(folder, web_workers=4, **database_of("stack"))
    try:
        # All these tests log in from one address, within a minute.
        httpx.patch(
            f"{running.address}/internal/v1/control/settings/operations",
            json={"settings": {"login_rate_per_minute": 1000}},
            headers={"Authorization": f"Bearer {running.api_key}"},
            timeout=60,
        ).raise_for_status()
        yield running
    finally:
        stop(running)


ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Not for the session: while it is open its thread counts as one that runs an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium", "chromium-browser", "google-chrome"),
            args=list(ARGUMENTS),
        )
        yield browser
        browser.close()


class Watched:
    """A page whose console and requests are kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        self._running: set[Request] = set()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        page.on("requestfinished", self._answered)
        page.on("requestfailed", self._answered)

    def settle(self) -> None:
        """Wait until the page's scripts have run, and what they asked for has come."""
        self.page.evaluate("new Promise(done => requestIdleCallback(done))")
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._running:
            assert time.monotonic() < deadline, [one.url for one in self._running]
            self.page.wait_for_timeout(5)  # milliseconds, in which events arrive

    def _request(self, request: Request) -> None:
        self.hosts.add(request.url.split("/")[2])
        self._running.add(request)

    def _answered(self, request: Request) -> None:
        self._running.discard(request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def signed_in(browser: Browser, stack: Stack) -> StorageState:
    """Log in once for all tests, by the form."""
    context = browser.new_context(base_url=stack.address)
    watched = Watched(context.new_page())
    page = watched.page
    page.goto("/admin/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
    expect(page.get_by_role("heading", name="Readiness")).to_be_visible()
    session = context.storage_state()
    context.close()
    assert watched.complaints == []
    return session


@pytest.fixture
def watched(browser: Browser, stack: Stack, signed_in: StorageState) -> Iterator[Watched]:
    context = browser.new_context(
        base_url=stack.address, viewport={"width": 1280, "height": 900}, storage_state=signed_in
    )
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.complaints == []
    assert watched.hosts == {stack.address.split("//")[1]}

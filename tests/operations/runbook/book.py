"""The runbook as a person on call uses it: its sections, and a shell to paste their blocks into."""

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "runbook.md"
BLOCK_SECONDS = 90.0
WAIT_SECONDS = 60.0
# What only a host of a deployment has; test_page.py holds these lines to the files in deploy/.
OF_HOSTS = re.compile(r"systemctl |journalctl |docker compose ")
_END = "the-block-has-ended"


def eventually(condition: Callable[[], Any]) -> Any:
    """Return what the condition gives once that is true. Raises AssertionError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)
    return found


def sections() -> dict[str, list[str]]:
    """Return the shell blocks of each section, in their order."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        assert title not in found, f"two sections are called {title!r}"
        found[title] = re.findall(r"^```sh\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    return found


def is_of_hosts(block: str) -> bool:
    """Say whether a block is for systemd or compose alone."""
    return all(OF_HOSTS.match(line) for line in block.splitlines())


class Shell:
    """A bash in which one block after another runs; an error ends it, and fails the test."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "-euo", "pipefail"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # without a terminal: passwords are read from standard input
        )

    def run(self, block: str, answers: str = "") -> str:
        """Run a block and return what it has said. Raises AssertionError where it fails."""
        assert self._process.stdin is not None
        with tempfile.NamedTemporaryFile("w") as typed:
            typed.write(answers)
            typed.flush()
            script = f"{{\n{block}\n}} < {typed.name}\nprintf '%s\\n' {_END}\n"
            self._process.stdin.write(script.encode())
            self._process.stdin.flush()
            return self._said(block)

    def _said(self, block: str) -> str:
        assert self._process.stdout is not None
        output, said = self._process.stdout.fileno(), b""
        until = time.monotonic() + BLOCK_SECONDS
        while not said.endswith(f"{_END}\n".encode()):
            left = max(0.0, until - time.monotonic())
            ready, _, _ = select.select([output], [], [], left)
            more = os.read(output, 65536) if ready else b""
            why = "failed" if ready else f"did not end within {BLOCK_SECONDS:g} s"
            assert more, f"This block {why}:\n{block}\nIt said:\n{said.decode(errors='replace')}"
            said += more
        return said.decode(errors="replace").removesuffix(f"{_END}\n")

    def close(self) -> None:
        """End it. Raises AssertionError where it does not end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


class Section:
    """A section whose blocks are pasted one after the other into one shell."""

    def __init__(self, title: str, shell: Shell, changes: Mapping[str, str]) -> None:
        self.left = [block for block in sections()[title] if not is_of_hosts(block)]
        self._shell, self._changes = shell, changes

    def paste(self, answers: str = "") -> str:
        """Run the next block and return what it said."""
        block = self.left.pop(0)
        for before, after in self._changes.items():
            block = block.replace(before, after)
        return self._shell.run(block, answers)


@contextmanager
def section(
    title: str, folder: Path, environment: Mapping[str, str], changes: Mapping[str, str]
) -> Iterator[Section]:
    """Open a section; all of its blocks must have run when it is closed."""
    shell = Shell(folder, environment)
    try:
        opened = Section(title, shell, changes)
        yield opened
        assert opened.left == [], "blocks that no test runs"
    finally:
        shell.close()

"""Reads the command blocks of docs/runbook.md and notes which test runs those of a section."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

FILE = Path(settings.BASE_DIR, "docs", "runbook.md")
SETUP = "Before you begin"
SHOWN = {"text", "ini"}  # blocks that show something and are no commands


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `number` counts the commands of its section from 1."""

    section: str
    number: int
    language: str
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks in order. Raises ValueError where a fence is never closed."""
    found: list[Block] = []
    section, language, start = "", "", 0
    body: list[str] | None = None
    for at, line in enumerate(text.splitlines(), 1):
        fence = line.strip().startswith("```")
        if body is None:
            if heading := re.match(r"## (.+)", line):
                section = heading[1].strip()
            elif fence:
                language, body, start = line.strip().removeprefix("```"), [], at
        elif fence:
            number = 1 + sum(one.section == section and one.language == "sh" for one in found)
            found.append(Block(section, number, language, "\n".join(body) + "\n", start))
            body = None
        else:
            body.append(line)
    if body is not None:
        raise ValueError(f"the block that begins in line {start} is never closed")
    return found


def commands() -> list[Block]:
    """Return the blocks that a reader pastes into a shell."""
    return [one for one in blocks(FILE.read_text(encoding="utf-8")) if one.language == "sh"]


def of(section: str) -> list[Block]:
    """Return a section's commands."""
    return [one for one in commands() if one.section == section]


def section(title: str) -> Callable[[Any], Any]:
    """Mark the test that runs every command of a section."""

    def mark(test: Any) -> Any:
        test.section = title
        return test

    return mark

"""Says whether a deployment has what commands of systemctl, journalctl and docker name."""

import fnmatch
import re
from pathlib import Path

import yaml
from django.conf import settings

DEPLOY = Path(settings.BASE_DIR, "deploy")
OTHERS = {"redis-server", "postgresql"}  # units that the distribution brings
COMPOSE = ["compose", "--file", "deploy/compose.yaml", "--env-file", "deploy/compose.env"]
COMPOSE_VERBS = {"up", "down", "build", "restart"}
UNIT_VERBS = {"start", "stop", "restart", "status"}


def units() -> set[str]:
    """Return the names by which units of deploy/systemd are asked for."""
    files = [one.name for one in (DEPLOY / "systemd").iterdir() if one.is_file()]
    return {name.removesuffix(".service") for name in files}


def unknown(commands: list[str]) -> list[str]:
    """Return the commands that name what a deployment does not have."""
    return [one for one in commands if not _known(one.split())]


def _known(words: list[str]) -> bool:
    program, *rest = words
    if program == "systemctl":
        verb, *names = rest
        plain = {re.sub(r"@\w+$", "@", name) for name in names}
        return verb in UNIT_VERBS and bool(names) and plain <= units() | OTHERS
    if program == "journalctl":
        pattern = rest[rest.index("--unit") + 1]
        return bool(fnmatch.filter(units(), pattern))
    verb, *more = rest[len(COMPOSE) :]
    services = {one for one in more if not one.startswith("--")}
    has = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return rest[: len(COMPOSE)] == COMPOSE and verb in COMPOSE_VERBS and services <= set(has)

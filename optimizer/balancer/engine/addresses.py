"""Addresses of backends, and the allow-list that keeps calls from going anywhere else (SSRF)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], Iterable[str]]  # a host name -> its IP addresses; raises OSError
_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
_SCHEMES = {"http": ("http", "https"), "redis": ("redis", "rediss"), "tcp": ("tcp",)}
_FORMS = {
    "http": "like http://10.0.0.5:8080 or https://host/base, without user, query or fragment",
    "tcp": "like 10.0.0.5:5432 or host:5432",
    "redis": "like redis://10.0.0.5:6379/0",
}


class BadAddress(ValueError):
    """An address that is malformed, or may not be called."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a backend is."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def netloc(self) -> str:
        """The host and port, as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme) else f"{host}:{self.port}"


def parse(kind: str, text: str) -> Address:
    """Read the address of a backend of a group of kind http, tcp or redis. Raises BadAddress."""
    wrong = BadAddress(f"must be {_FORMS[kind]}")
    if not text.isprintable() or " " in text or "\\" in text:
        raise wrong
    try:
        found = urlsplit(f"tcp://{text}" if kind == "tcp" else text)
        port = found.port or _PORTS.get(found.scheme)
    except ValueError as error:
        raise wrong from error
    if found.scheme not in _SCHEMES[kind] or not found.hostname or not port:
        raise wrong
    if found.query or found.fragment or (found.username is not None and kind != "redis"):
        raise wrong
    if kind == "tcp" and found.path or ".." in found.path.split("/"):
        raise wrong
    return Address(found.scheme, found.hostname, port, found.path.rstrip("/"))


class AllowList:
    """Networks and host names that may be called: "10.0.0.0/8, api.example.com, *.internal".

    A name that is listed may be called wherever it leads; any other only where all its addresses
    are in the networks. Raises BadAddress for an entry that is neither.
    """

    def __init__(self, text: str) -> None:
        self._networks: list[Network] = []
        self._names: list[str] = []
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                self._networks.append(ip_network(entry, strict=False))
            except ValueError:
                if not _is_name(entry):
                    raise BadAddress(f"{entry!r} is neither a network nor a host name") from None
                self._names.append(entry)

    def addresses(self, host: str, resolve: Resolve) -> list[str]:
        """Return the IP addresses at which a host may be called. Raises BadAddress."""
        host = host.lower().rstrip(".")
        if (literal := _literal(host)) is not None:
            if not self._has(literal):
                raise BadAddress(f"{host} is not in the allowed networks")
            return [host]
        try:
            found = list(dict.fromkeys(resolve(host)))
        except (OSError, UnicodeError) as error:
            raise BadAddress(f"{host} cannot be resolved ({error})") from error
        if not self._names_it(host):
            outside = [one for one in found if (ip := _literal(one)) is None or not self._has(ip)]
            if outside:
                raise BadAddress(f"{host} leads to {outside[0]}, which is not allowed")
        if not found:
            raise BadAddress(f"{host} has no address")
        return found

    def _has(self, ip: Ip) -> bool:
        return any(ip.version == one.version and ip in one for one in self._networks)

    def _names_it(self, host: str) -> bool:
        return any(
            host.endswith(name[1:]) if name.startswith("*.") else host == name
            for name in self._names
        )


def _literal(host: str) -> Ip | None:
    try:
        ip = ip_address(host.split("%")[0])
    except ValueError:
        return None
    # ::ffff:10.0.0.1 is 10.0.0.1 for the system that connects.
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _is_name(entry: str) -> bool:
    name = entry.removeprefix("*.")
    return bool(name) and all(
        part and part.replace("-", "").replace("_", "").isalnum() for part in name.split(".")
    )

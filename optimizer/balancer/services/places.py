"""Where a backend's address leads, looked up and held against the allow-list each time.

The call then goes to the IP address that was looked at, so that a name which leads elsewhere a
moment later (DNS rebinding) is of no use.
"""

import time
from dataclasses import dataclass
from typing import Any

from optimizer.balancer import live
from optimizer.balancer.engine.addresses import Address, AllowList, parse
from optimizer.balancer.models.backends import resolve

_KEPT_SECONDS = 5.0
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """A backend's address with the IP address to connect to."""

    address: Address
    ip: str

    @property
    def port(self) -> int:
        return self.address.port

    def request(self, path: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        """Return the URL, the headers and the httpx extensions of a call to a path."""
        ip = f"[{self.ip}]" if ":" in self.ip else self.ip
        url = f"{self.address.scheme}://{ip}:{self.port}{self.address.path}{path}"
        # The certificate is the name's, not the IP address's.
        return url, {"Host": self.address.netloc}, {"sni_hostname": self.address.host}


_known: dict[tuple[str, str, str], tuple[float, Place]] = {}


def place_of(kind: str, address: str) -> Place:
    """Return where an address leads; a look-up holds for five seconds. Raises BadAddress."""
    allowed = live.balancer.current().allowed_addresses
    key, now = (kind, address, allowed), time.monotonic()
    known = _known.get(key)
    if known is not None and now < known[0]:
        return known[1]
    found = parse(kind, address)
    place = Place(found, AllowList(allowed).addresses(found.host, resolve)[0])
    if len(_known) >= _MOST_KEPT:
        _known.clear()
    _known[key] = (now + _KEPT_SECONDS, place)
    return place


def forget() -> None:
    """Look every address up anew."""
    _known.clear()

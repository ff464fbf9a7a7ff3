"""Consistent hashing on a ring."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.hashing import hash_bytes
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy

MAX_POINTS = 1_000_000


def build_ring(
    addresses: Sequence[str], counts: Sequence[int]
) -> tuple["array[int]", "array[int]"]:
    """Return the ring's points, in order, and which of the addresses each belongs to.

    Each address has as many points as `counts` says. They are Envoy's for a ring of that size; but
    there the points of all change with the number of hosts, which moves keys for no need. Source:
    D. Karger et al., Consistent Hashing and Random Trees, 1997.
    """
    points = sorted(
        (hash_bytes(f"{address}_{number}".encode()), at)
        for at, (address, count) in enumerate(zip(addresses, counts, strict=True))
        for number in range(count)
    )
    return array("Q", (point for point, _ in points)), array("H", (at for _, at in points))


def counts_of(weights: Sequence[int], points: int) -> list[int]:
    """Return how many points each has: so many for a unit of weight, a million together at most."""
    scale = min(1.0, MAX_POINTS / (points * sum(weights)))
    return [max(1, int(points * weight * scale)) for weight in weights]


class RingHash(Strategy):
    """The endpoint of the first point on the ring at or after the key's.

    When an endpoint leaves, no key moves but its own. It spreads less evenly than Maglev.
    """

    is_slow = is_sticky = True

    __slots__ = ("_endpoints", "_owners", "_points", "_random")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._random = list(endpoints), random
        counts = counts_of([one.backend.weight for one in endpoints], group.ring_points)
        self._points, self._owners = build_ring([one.address for one in endpoints], counts)

    def pick(self, key: bytes) -> Endpoint:
        place = hash_bytes(key) if key else int(self._random() * 2**64)
        at = bisect_left(self._points, place)
        return self._endpoints[self._owners[at if at < len(self._points) else 0]]

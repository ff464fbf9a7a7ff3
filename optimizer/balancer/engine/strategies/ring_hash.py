"""Consistent hashing on a ring."""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from math import ceil

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.hashing import hash_bytes
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy

MAX_RING_SIZE = 8 * 1024**2


def build_ring(
    addresses: Sequence[str], weights: Sequence[float], least_size: int
) -> tuple["array[int]", "array[int]"]:
    """Return the ring's points, in order, and which of the addresses each belongs to.

    The lightest address has at least its share of `least_size` points, and the others as many more
    as they are heavier. Points and their number are Envoy's. Source: D. Karger et al., Consistent
    Hashing and Random Trees, 1997.
    """
    total = sum(weights)
    shares = [weight / total for weight in weights]
    lightest = min(shares)
    scale = min(ceil(lightest * least_size) / lightest, float(MAX_RING_SIZE))
    points: list[tuple[int, int]] = []
    hashed, target = 0, 0.0
    for at, (address, share) in enumerate(zip(addresses, shares, strict=True)):
        target += scale * share
        number = 0
        while hashed < target:
            points.append((hash_bytes(f"{address}_{number}".encode()), at))
            number += 1
            hashed += 1
    points.sort()
    return array("Q", (point for point, _ in points)), array("H", (at for _, at in points))


class RingHash(Strategy):
    """The endpoint of the first point on the ring at or after the key's.

    When an endpoint leaves, no key moves but its own. It spreads less evenly than Maglev.
    """

    is_slow = is_sticky = True

    __slots__ = ("_endpoints", "_owners", "_points", "_random")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._random = list(endpoints), random
        weights = [float(one.backend.weight) for one in endpoints]
        self._points, self._owners = build_ring(
            [one.address for one in endpoints], weights, group.ring_size
        )

    def pick(self, key: bytes) -> Endpoint:
        place = hash_bytes(key) if key else int(self._random() * 2**64)
        at = bisect_left(self._points, place)
        return self._endpoints[self._owners[at if at < len(self._points) else 0]]

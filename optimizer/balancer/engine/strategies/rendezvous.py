"""Rendezvous hashing."""

from collections.abc import Sequence
from math import log

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.hashing import hash_bytes
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy


class Rendezvous(Strategy):
    """The endpoint whose hash of the key is the highest, by weight.

    It needs no table and spreads evenly; each pick looks at every endpoint. Source: D. Thaler, C.
    Ravishankar, A Name-Based Mapping Scheme for Rendezvous, 1996; weights by the logarithmic method
    of J. Resch, 2014.
    """

    is_sticky = True

    __slots__ = ("_alike", "_random", "_seeded")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._random = random
        self._seeded = [(one, hash_bytes(one.address.encode())) for one in endpoints]
        self._alike = len({one.backend.weight for one in endpoints}) == 1

    def pick(self, key: bytes) -> Endpoint:
        if not key:
            key = int(self._random() * 2**53).to_bytes(8, "little")
        best, highest = self._seeded[0][0], -1.0
        if self._alike:
            for one, seed in self._seeded:
                if (score := hash_bytes(key, seed)) > highest:
                    best, highest = one, score
            return best
        for one, seed in self._seeded:
            # A logarithm of a number between 0 and 1, ends not included.
            weighed = one.backend.weight / -log((hash_bytes(key, seed) + 0.5) / 2**64)
            if weighed > highest:
                best, highest = one, weighed
        return best

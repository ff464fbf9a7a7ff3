"""Smooth weighted round robin."""

from collections.abc import Sequence

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy


class WeightedRoundRobin(Strategy):
    """Turns by weight, spread evenly: 5, 1, 1 gives a a b a c a a, never five times a in a row.

    Each pick gives every endpoint its weight as credit; the one with the most is taken and pays
    the sum of all. Source: nginx, ngx_http_upstream_round_robin (I. Sysoev).
    """

    __slots__ = ("_credits", "_endpoints")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints = list(endpoints)
        # Processes begin at random places of the turn, or all would send to the heaviest at once.
        self._credits = [random() * one.weight for one in endpoints]

    def pick(self, key: bytes) -> Endpoint:
        credit, total, best, most = self._credits, 0.0, 0, float("-inf")
        for at, one in enumerate(self._endpoints):
            weight = one.weight
            total += weight
            credit[at] = has = credit[at] + weight
            if has > most:
                best, most = at, has
        credit[best] -= total
        return self._endpoints[best]

"""Least connections by weight."""

from collections.abc import Sequence

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy


class LeastConnections(Strategy):
    """The endpoint with the fewest calls under way in this process, for its weight.

    It knows neither latency nor failures: one that fails fast draws calls. Of equals it takes the
    first after a random place.
    """

    __slots__ = ("_doubled", "_count", "_random")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._doubled = [*endpoints, *endpoints]
        self._count, self._random = len(endpoints), random

    def pick(self, key: bytes) -> Endpoint:
        first = int(self._random() * self._count)
        best, least = self._doubled[first], float("inf")
        for one in self._doubled[first : first + self._count]:
            if one.in_flight < one.limit and (load := (one.in_flight + 1) / one.weight) < least:
                best, least = one, load
        return best

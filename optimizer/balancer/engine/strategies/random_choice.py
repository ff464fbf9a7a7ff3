"""Random choice by weight."""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy


class RandomChoice(Strategy):
    """Any endpoint, as often as its weight says."""

    __slots__ = ("_endpoints", "_random", "_sums", "_total")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._random = list(endpoints), random
        self.reweigh()

    def pick(self, key: bytes) -> Endpoint:
        return self._endpoints[bisect(self._sums, self._random() * self._total)]

    def reweigh(self) -> None:
        sums = list(accumulate(one.weight for one in self._endpoints))
        # The last one is not looked at: rounding must not lead past the end.
        self._sums, self._total = sums[:-1], sums[-1]

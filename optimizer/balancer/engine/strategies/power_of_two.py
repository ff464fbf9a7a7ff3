"""The power of two choices."""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy


class PowerOfTwo(Strategy):
    """Of two random endpoints the one with fewer calls under way, for its weight.

    Where weights differ the two are drawn by weight, or a heavy endpoint could get no more than two
    of n shares. Source: M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing,
    2001.
    """

    __slots__ = ("_count", "_endpoints", "_random", "_sums", "_total")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._count, self._random = list(endpoints), len(endpoints), random
        self.reweigh()

    def pick(self, key: bytes) -> Endpoint:
        count, random = self._count, self._random
        if self._sums:
            one, other = self._drawn(), self._drawn()
        else:
            first = int(random() * count)
            one = self._endpoints[first]
            if count == 1:
                return one
            # The second is any other one.
            other = self._endpoints[(first + 1 + int(random() * (count - 1))) % count]
        if other.in_flight >= other.limit:
            return one
        if one.in_flight >= one.limit:
            return other
        # (a + 1) / v <= (b + 1) / w without a division
        mine, its = (one.in_flight + 1) * other.weight, (other.in_flight + 1) * one.weight
        return one if mine <= its else other

    def reweigh(self) -> None:
        weights = [one.weight for one in self._endpoints]
        sums = list(accumulate(weights)) if min(weights) < max(weights) else []
        # The last one is not looked at: rounding must not lead past the end.
        self._total, self._sums = sum(weights), sums[:-1]

    def _drawn(self) -> Endpoint:
        return self._endpoints[bisect(self._sums, self._random() * self._total)]

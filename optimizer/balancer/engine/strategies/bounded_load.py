"""Consistent hashing with bounded load."""

from collections.abc import Sequence
from math import ceil

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.hashing import hash_bytes
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy
from optimizer.balancer.engine.strategies.maglev import build_table, in_order


class BoundedLoad(Strategy):
    """The key's endpoint by a Maglev table, unless that has more than its share of calls under way.

    An endpoint takes up to `bounded_load_percent` of the mean for its weight; beyond that the key
    goes on through the table by a stride of its own, so that what one endpoint sheds is spread over
    all others, and a key that is asked for often meets the same few. Source: V. Mirrokni et al.,
    Consistent Hashing with Bounded Loads, 2018.
    """

    is_slow = is_sticky = True

    __slots__ = ("_endpoints", "_factor", "_random", "_size", "_table", "_weight")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._random = in_order(endpoints), random
        weights = [float(one.backend.weight) for one in self._endpoints]
        self._size, self._weight = group.table_size, sum(weights)
        self._factor = group.bounded_load_percent / 100
        self._table = build_table([one.address for one in self._endpoints], weights, self._size)

    def pick(self, key: bytes) -> Endpoint:
        endpoints, table, size = self._endpoints, self._table, self._size
        hashed = hash_bytes(key) if key else int(self._random() * 2**64)
        place = hashed % size
        first = one = endpoints[table[place]]
        share = (sum([each.in_flight for each in endpoints]) + 1) / self._weight
        if one.in_flight < self._room(one, share):
            return one
        stride = hashed // size % (size - 1) + 1
        for _ in range(8 * len(endpoints)):
            place = (place + stride) % size
            one = endpoints[table[place]]
            if one.in_flight < self._room(one, share):
                return one
        # Met by no stride: a light endpoint among heavy ones.
        return min(
            (one for one in endpoints if one.in_flight < one.limit),
            key=lambda one: (one.in_flight + 1) / one.backend.weight,
            default=first,
        )

    def _room(self, one: Endpoint, share: float) -> int:
        """Return how many calls it may have under way: the sum of all has room for every call."""
        mean = share * one.backend.weight
        return min(one.limit, max(ceil(mean), int(mean * self._factor)))

"""Maglev hashing."""

from array import array
from collections.abc import Sequence

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.hashing import hash_bytes
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy

Table = bytes | array  # of the numbers of the addresses


def build_table(addresses: Sequence[str], weights: Sequence[float], size: int) -> Table:
    """Return which of the addresses each of the table's slots belongs to.

    Addresses take slots in turns, each in the order of its own permutation; `size` is a prime
    number. The table is the one that Envoy builds of the same addresses in the same order.
    Source: D. Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer, 2016.
    """
    texts = [address.encode() for address in addresses]
    places = [hash_bytes(text, 0) % size for text in texts]
    skips = [hash_bytes(text, 1) % (size - 1) + 1 for text in texts]
    count, most = len(texts), max(weights)
    free = -1
    table = array("i", [free]) * size
    if min(weights) == most:
        turns = range(count)
        filled = 0
        while True:
            for at in turns:
                place, skip = places[at], skips[at]
                while table[place] != free:
                    place = (place + skip) % size
                table[place] = at
                places[at] = (place + skip) % size
                filled += 1
                if filled == size:
                    return _packed(table, count)
    targets, turn, filled = [0.0] * count, 0, 0
    while True:
        turn += 1
        for at in range(count):
            # One with a third of the largest weight takes a slot in every third turn.
            if turn * weights[at] < targets[at]:
                continue
            targets[at] += most
            place, skip = places[at], skips[at]
            while table[place] != free:
                place = (place + skip) % size
            table[place] = at
            places[at] = (place + skip) % size
            filled += 1
            if filled == size:
                return _packed(table, count)


def _packed(table: "array[int]", count: int) -> Table:
    return array("B", table).tobytes() if count <= 256 else array("H", table)


def in_order(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return endpoints by address: the order in which they are given must not move keys."""
    return sorted(endpoints, key=lambda one: one.address)


class Maglev(Strategy):
    """The endpoint in the slot of a large table that the key is hashed to.

    It is as quick as a random choice and spreads keys evenly; when an endpoint leaves, some 0.2 %
    of the other keys move beside those that were its own.
    """

    is_slow = is_sticky = True

    __slots__ = ("_endpoints", "_random", "_size", "table")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._random = in_order(endpoints), random
        weights = [float(one.backend.weight) for one in self._endpoints]
        self._size = group.table_size
        self.table = build_table([one.address for one in self._endpoints], weights, self._size)

    def pick(self, key: bytes) -> Endpoint:
        if key:
            return self._endpoints[self.table[hash_bytes(key) % self._size]]
        return self._endpoints[self.table[int(self._random() * self._size)]]

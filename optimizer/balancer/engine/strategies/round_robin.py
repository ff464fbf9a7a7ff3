"""Round robin."""

from collections.abc import Sequence

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies.base import Random, Strategy


class RoundRobin(Strategy):
    """Each endpoint in its turn, whatever its weight.

    It begins at a random one, so that many processes do not all begin at the first.
    """

    __slots__ = ("_at", "_count", "_endpoints")

    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None:
        self._endpoints, self._count = list(endpoints), len(endpoints)
        self._at = int(random() * self._count)

    def pick(self, key: bytes) -> Endpoint:
        # Two threads at once may take the same turn, which does no harm.
        self._at = at = (self._at + 1) % self._count
        return self._endpoints[at]

"""The power of two choices by peak EWMA."""

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.strategies.power_of_two import PowerOfTwo

_UNKNOWN_SECONDS = 1e6


class PowerOfTwoEwma(PowerOfTwo):
    """Of two random endpoints the cheaper one: latency times calls under way, for its weight.

    A failure counts as the time-out at least, so that what fails fast draws no calls. An endpoint
    of which nothing is known costs nothing, and so gets a call to be known by; while that call is
    under way it costs more than any other. Source: Finagle's p2cPeakEwma (R. Sorokine).
    """

    __slots__ = ()

    def pick(self, key: bytes) -> Endpoint:
        count, random = self._count, self._random
        if self._sums:
            one, other = self._drawn(), self._drawn()
        else:
            first = int(random() * count)
            one = self._endpoints[first]
            if count == 1:
                return one
            other = self._endpoints[(first + 1 + int(random() * (count - 1))) % count]
        load, its_load = one.in_flight, other.in_flight
        if its_load >= other.limit:
            return one
        if load >= one.limit:
            return other
        cost = (one.ewma or (load and _UNKNOWN_SECONDS)) * (load + 1) * other.weight
        its_cost = (other.ewma or (its_load and _UNKNOWN_SECONDS)) * (its_load + 1) * one.weight
        return one if cost <= its_cost else other

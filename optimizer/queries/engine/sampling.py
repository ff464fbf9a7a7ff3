"""Which units are watched: a share of them, and fewer when that takes too much of their time."""

import random
from collections.abc import Callable

LEAST_RATE = 0.001
_MEMORY = 0.98  # of what one unit cost, when the next one is added: some fifty are remembered


class Sampler:
    """Decides for each unit. Not exact with several threads at once, which does no harm.

    Head sampling: a unit is watched whole or not at all. With c the share of its own time that
    watching takes (an exponential average), watching each with probability b / c takes b of all.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._skipped = 0
        self._own = self._all = 0.0
        self.rate = 1.0

    def weight(self, share: float, budget: float | None) -> int:
        """Return for how many units this one stands, itself among them; 0 where it is skipped.

        `share` is how many of all are watched at most, `budget` what share of their time that may
        take; None is no bound.
        """
        rate = share
        if budget is not None and self._own > budget * self._all * share:
            rate = max(LEAST_RATE, budget * self._all / self._own)
        self.rate = rate
        if rate < 1.0 and self._chance() >= rate:
            self._skipped += 1
            return 0
        weight, self._skipped = self._skipped + 1, 0
        return weight

    def spent(self, own_seconds: float, all_seconds: float) -> None:
        """Learn what watching a unit has cost."""
        self._own = self._own * _MEMORY + own_seconds
        self._all = self._all * _MEMORY + all_seconds

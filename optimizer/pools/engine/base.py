"""What every managed pool is to the rest, whatever it pools."""

import random
import threading
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from optimizer.pools.engine.leaks import Report, Sampler
from optimizer.pools.engine.limits import Limits
from optimizer.pools.engine.statistics import Gauges, Statistics


class ManagedPool(Protocol):
    """A pool whose limits change while it works."""

    alias: str
    kind: str
    statistics: Statistics

    def apply(self, limits: Limits) -> None:
        """Obey new limits at once: trim, grow, suspend, recycle."""

    def gauges(self) -> Gauges:
        """Return how the pool stands."""

    def sweep(self) -> None:
        """Close what is worn out, refill, look for leaks; called once a second."""


class Pools:
    """The pools of this process; those that nobody uses any more fall out by themselves.

    `limits_of` is asked when a pool begins; `report` is told of leaks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: WeakSet[ManagedPool] = WeakSet()
        self.limits_of: Callable[[str, str], Limits] = lambda alias, kind: Limits()
        self.report: Report = lambda leak: None
        self.added: Callable[[], None] = lambda: None
        self.sampler = Sampler(100)

    def add(self, pool: ManagedPool) -> None:
        """Take a pool in and give it its limits."""
        with self._lock:
            self._all.add(pool)
        pool.apply(self.limits_of(pool.alias, pool.kind))
        self.added()

    def all(self) -> tuple[ManagedPool, ...]:
        """Return the pools, each once."""
        with self._lock:
            return tuple(self._all)

    def apply(self) -> None:
        """Have every pool obey its present limits."""
        for pool in self.all():
            pool.apply(self.limits_of(pool.alias, pool.kind))

    def forget(self) -> None:
        """Drop all, as after a fork: they are the parent's."""
        self._lock, self._all = threading.Lock(), WeakSet()


pools = Pools()


def lifetime_of(limits: Limits) -> float:
    """Return how long a new connection lives: the limit less a random part of the jitter.

    So that connections that were made together do not end together.
    """
    part = random.random() * limits.lifetime_jitter_percent / 100  # noqa: S311
    return limits.max_lifetime_seconds * (1 - part)

"""A group's strategy, made anew when its endpoints change; a slow one in the background."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group
from optimizer.balancer.engine.strategies import STRATEGIES, Random, Strategy

Background = Callable[[Callable[[], None]], None]


def at_once(work: Callable[[], None]) -> None:
    """Do work in the caller's thread: where nobody waits, as in simulations."""
    work()


class Chooser:
    """Holds the strategy in use; `lock` is its group's, and held by whoever calls `choose`."""

    def __init__(
        self, lock: "AbstractContextManager[bool]", random: Random, background: Background
    ) -> None:
        self.strategy: Strategy | None = None
        self.background = background
        self._lock, self._random = lock, random
        self._building = Lock()
        self._wanted = 0

    def choose(self, endpoints: Sequence[Endpoint], settings: Group) -> None:
        """Have a strategy for these endpoints: now, or soon, with the old one meanwhile."""
        self._wanted = wanted = self._wanted + 1
        if not endpoints:
            self.strategy = None
            return
        kind = STRATEGIES[settings.strategy]
        if not kind.is_slow or self.strategy is None:
            self.strategy = kind(endpoints, settings, self._random)
            return

        def build() -> None:
            with self._building:
                if wanted != self._wanted:
                    return  # another one is wanted by now
                built = kind(endpoints, settings, self._random)
                with self._lock:
                    if wanted == self._wanted:
                        self.strategy = built

        self.background(build)

    def reweigh(self) -> None:
        """Let the strategy take over the endpoints' weights of now."""
        if self.strategy is not None:
            self.strategy.reweigh()

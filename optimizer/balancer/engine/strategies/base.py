"""What all strategies have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.settings import Group

Random = Callable[[], float]  # from 0 to 1, 1 not included


class Strategy(ABC):
    """Chooses among the endpoints it was made with; a change of them makes a new one.

    `is_slow` says that making one takes long enough to be done in the background; `is_sticky` that
    a key leads to the same endpoint again.
    """

    is_slow: ClassVar[bool] = False
    is_sticky: ClassVar[bool] = False

    __slots__ = ()

    @abstractmethod
    def __init__(self, endpoints: Sequence[Endpoint], group: Group, random: Random) -> None: ...

    @abstractmethod
    def pick(self, key: bytes) -> Endpoint:
        """Return the endpoint for a call; `key` is empty where the call has none."""

    def reweigh(self) -> None:
        """Take over the endpoints' weights of now, as in a slow start."""
        return

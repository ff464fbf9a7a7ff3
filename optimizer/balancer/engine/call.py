"""One call to a backend, from the pick to its end."""

from types import TracebackType
from typing import Self

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.group import Group


class Call:
    """A backend for the length of a `with` block, which is timed; an exception is a failure.

    What ends the block without being an error (KeyboardInterrupt, a cancelled task) counts as
    neither. `async with` does the same: nothing here waits. Entering raises Unavailable.
    """

    __slots__ = ("_began", "_endpoint", "_exclude", "_failed", "_group", "_key")

    def __init__(self, group: Group, key: bytes, exclude: tuple[str, ...] = ()) -> None:
        self._group, self._key, self._exclude = group, key, exclude
        self._failed = False

    @property
    def name(self) -> str:
        """The backend's name."""
        return self._endpoint.name

    @property
    def address(self) -> str:
        """The backend's address, as the admin wrote it."""
        return self._endpoint.address

    def fail(self) -> None:
        """Count this call as failed though nothing was raised, as for an answer of 503."""
        self._failed = True

    def __enter__(self) -> Self:
        group = self._group
        self._endpoint: Endpoint = group.begin(self._key, self._exclude)
        self._began = group.clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        group = self._group
        if kind is not None and not issubclass(kind, Exception):
            group.drop(self._endpoint)
            return
        seconds = group.clock() - self._began
        group.done(self._endpoint, seconds, failed=self._failed or kind is not None)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

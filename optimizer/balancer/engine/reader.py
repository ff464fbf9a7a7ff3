"""Who reads: a session, a bot or a task, and what it has written that its reads must see."""

from collections.abc import Callable

from optimizer.balancer.engine.lsn import LAST


class Reader:
    """The reads of one request, task or `with` block; threads that share it may write too.

    `name` is what it is known by to other processes, "" for nobody. `required` is the position that
    its reads must see, as far as it is known; `has_written` says that there is a later one, which
    the primary has to be asked for.
    """

    __slots__ = (
        "_clock",
        "_marks",
        "_settled",
        "is_known",
        "is_pinned",
        "name",
        "required",
        "stored",
        "told_at",
    )

    def __init__(self, name: str, required: int, clock: Callable[[], float]) -> None:
        # What is not known to have been written only the primary has for sure.
        self.is_pinned = required >= LAST
        self.name, self.required = name, 0 if self.is_pinned else required
        self._clock = clock
        self._marks = self._settled = 0
        self.told_at = 0.0  # when it last wrote
        self.is_known = not name  # whether what other processes know of it was asked for
        self.stored = self.required

    @property
    def has_written(self) -> bool:
        return self._marks != self._settled

    @property
    def marks(self) -> int:
        """How often it has written: taken before the primary is asked for its position."""
        return self._marks

    def wrote(self) -> None:
        """Note that something was, or may have been, written."""
        self.told_at = self._clock()
        self._marks += 1

    def settle(self, marks: int, position: int) -> None:
        """Take over the primary's position; what came after `marks` stays to be asked for."""
        self.require(position)
        self._settled = max(self._settled, marks)

    def require(self, position: int) -> None:
        """Have all later reads see a position, or with `LAST` go to the primary."""
        if position >= LAST:
            self.is_pinned = True
        else:
            self.required = max(self.required, position)

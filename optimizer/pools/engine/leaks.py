"""Who holds a connection for too long, and where it was taken.

Source: HikariCP's ProxyLeakTask. Of one check-out in so many the stack is kept; of the others the
holder's present place is told.
"""

import sys
from collections.abc import Callable
from types import CodeType, FrameType

import msgspec

Place = tuple[CodeType, int]
_DEPTH = 24
_SHOWN = 10
# Frames of libraries between the caller and the check-out tell nobody anything.
_LIBRARIES = (
    "/optimizer/pools/", "/psycopg_pool/", "/psycopg/", "/django/db/", "/redis/", "/django_redis/",
    "/contextlib.py", "/threading.py", "/asgiref/",
)  # fmt: skip


class Leak(msgspec.Struct, frozen=True):
    """A connection held past the threshold; `came_back` says that it was returned after all."""

    pool: str
    held_seconds: float
    thread: int
    stack: tuple[str, ...]
    taken_here: bool  # whether the stack is that of the check-out, not the holder's present one
    came_back: bool = False


Report = Callable[[Leak], None]


def capture() -> tuple[Place, ...]:
    """Return the caller's stack, innermost first, without reading any source."""
    return _places(sys._getframe(2))


def stack_of_thread(thread: int) -> tuple[str, ...]:
    """Return where a thread is now, () where it has ended."""
    frame = sys._current_frames().get(thread)
    return trimmed(_places(frame)) if frame is not None else ()


def _places(frame: FrameType | None) -> tuple[Place, ...]:
    places: list[Place] = []
    while frame is not None and len(places) < _DEPTH:
        places.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(places)


def trimmed(places: tuple[Place, ...]) -> tuple[str, ...]:
    """Return "file:line function" of the places that are not a library's."""
    named = [
        f"{code.co_filename}:{line} {code.co_qualname}"
        for code, line in places
        if not any(part in code.co_filename for part in _LIBRARIES)
    ]
    return tuple(named[:_SHOWN])


class Sampler:
    """Say of which check-outs the stack is kept: of one in `every`, none with 0."""

    __slots__ = ("_count", "every")

    def __init__(self, every: int) -> None:
        self.every, self._count = every, 0

    def due(self) -> bool:
        """Count a check-out; True for one in `every`."""
        if not self.every:
            return False
        self._count += 1
        if self._count < self.every:
            return False
        self._count = 0
        return True

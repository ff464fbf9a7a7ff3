"""The line over which processes hear what changed, as far as this process knows.

A copy is served only while everything that Redis told until a moment ago has surely arrived: a PING
goes out on the line itself every so often, and its answer comes after all earlier news.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import msgspec

from caching.engine.patterns import Pattern, parse


class Hears(Protocol):
    """Who obeys the news."""

    def lose_all(self) -> None: ...

    def names_changed(self, names: list[str], seq: int) -> None: ...

    def pattern_invalidated(self, head: str, pattern: Pattern, seq: int) -> None: ...

    def tag_invalidated(self, tag: str, names: list[str], seq: int) -> None: ...

    def generations_moved(self, moved: list[tuple[str, bytes]], seq: int) -> None: ...


class Line:
    """What was heard, and until when copies may be served (`fresh_until`, monotonic seconds)."""

    def __init__(self, hears: Hears, clock: Callable[[], float] = monotonic) -> None:
        self._hears, self._clock = hears, clock
        self.max_staleness_seconds = 1.0
        self.messages = self.losses = 0
        self.forget()

    def forget(self) -> None:
        """Be without news, as a process that has just started."""
        self.fresh_until = 0.0
        self.confirmed_at = 0.0
        self.connected = False
        self._last: int | None = None

    def opened(self, asked_at: float) -> None:
        """The line is there; nothing that was held before may be served."""
        self._last = None
        self._hears.lose_all()
        self.connected = True
        self.confirmed(asked_at)

    def confirmed(self, asked_at: float) -> None:
        """All news until `asked_at` has arrived."""
        if self.connected:
            self.confirmed_at = asked_at
            self.fresh_until = asked_at + self.max_staleness_seconds

    def lost(self) -> None:
        """The line is gone; what was kept since then stays."""
        if not self.connected:
            return
        self.losses += 1
        self.connected, self.fresh_until, self._last = False, 0.0, None
        self._hears.lose_all()

    def heard(self, message: bytes) -> None:
        """Obey a piece of news. A gap in the numbers, or what nobody understands, is a loss."""
        try:
            news: list[Any] = msgspec.msgpack.decode(message)
            seq, kind, rest = int(news[0]), news[1], news[2:]
        except (msgspec.DecodeError, ValueError, TypeError, IndexError):
            self._reset()
            return
        self.messages += 1
        if self._last is not None and seq != self._last + 1:
            self._reset()
        self._last = seq
        if kind == "k":
            self._hears.names_changed(rest, seq)
        elif kind == "t":
            self._hears.tag_invalidated(rest[0], rest[1:], seq)
        elif kind == "p":
            self._hears.pattern_invalidated(rest[0], parse(rest[1]), seq)
        elif kind == "g":
            moved = [(rest[at], rest[at + 1].encode()) for at in range(0, len(rest), 2)]
            self._hears.generations_moved(moved, seq)
        else:
            self._reset()

    def has_heard(self, seq: int) -> bool:
        """Say whether all news before this number has been obeyed."""
        return self.connected and self._last is not None and self._last >= seq

    def _reset(self) -> None:
        """Give up what is held, but stay on the line."""
        self.losses += 1
        self._last = None
        self._hears.lose_all()

    @property
    def staleness_seconds(self) -> float:
        """How long ago the last confirmation was asked for."""
        return self._clock() - self.confirmed_at

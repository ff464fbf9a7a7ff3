"""Sweeping: what was invalidated at once, or expired by itself, leaves names behind in Redis.

A run does a part, each script a small one, and the next run goes on where it stopped.
"""

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec

from caching.engine.remote import Remote

_TAGS = "~tags"  # behind all namespaces in order
_LOCK_MS = 10_000  # beyond the run's time: a script that Redis takes long for


class Place(msgspec.Struct, array_like=True, frozen=True):
    """Where to go on: a namespace or the tags, behind which name, within one tag from where."""

    of: str = ""
    low: bytes = b""
    cursor: int = 0


@dataclass(slots=True)
class Swept:
    """What a run has done: names looked at, values deleted, names forgotten by indexes and tags."""

    seen: int = 0
    deleted: int = 0
    forgotten: int = 0
    finished: bool = False  # all was looked at; else the next run goes on
    busy: bool = False  # another process sweeps now
    away: bool = False  # Redis is


_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.Decoder(Place).decode


def sweep(
    remote: Remote,
    spaces: Collection[str],
    most_names: int,
    most_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Swept:
    """Sweep so many names for so long at most; `spaces` are all namespaces there are.

    Never two at once. Raises Away.
    """
    token = secrets.token_hex(8)
    if not remote.begin_sweep(token, round(most_seconds * 1000) + _LOCK_MS):
        return Swept(busy=True)
    place = _place(remote.swept_until())
    run = _Run(remote, most_names, clock() + most_seconds, clock)
    try:
        remote.know(spaces)
        run.garbage()
        place = run.names([*sorted(spaces), _TAGS], place)
    finally:
        remote.end_sweep(token, _encode(place))
    return run.swept


def _place(noted: bytes) -> Place:
    try:
        return _decode(noted)
    except msgspec.DecodeError:
        return Place()


class _Run:
    def __init__(
        self, remote: Remote, most: int, deadline: float, clock: Callable[[], float]
    ) -> None:
        self._remote, self._most, self._deadline, self._clock = remote, most, deadline, clock
        self.swept = Swept()

    @property
    def _spent(self) -> bool:
        return self.swept.seen >= self._most or self._clock() >= self._deadline

    def garbage(self) -> None:
        """Delete what old generations hold."""
        for generation in self._remote.garbage():
            done = False
            while not done:
                if self._spent:
                    return
                done, count = self._remote.sweep_garbage(generation)
                self.swept.seen += count
                self.swept.deleted += count

    def names(self, stations: list[str], place: Place) -> Place:
        """Let indexes and tags forget what is gone; return where to go on."""
        for station in stations:
            if station < place.of:
                continue
            here = place if station == place.of else Place(station)
            while not self._spent:
                here = self._step(here)
                if not here.low:
                    break
            else:
                return here
        self.swept.finished = True
        return Place()

    def _step(self, here: Place) -> Place:
        cursor = 0
        if here.of == _TAGS:
            low, cursor, seen, count = self._remote.sweep_tags(here.low, here.cursor)
        else:
            low, seen, count = self._remote.sweep_index(here.of, here.low)
        self.swept.seen += seen
        self.swept.forgotten += count
        return Place(here.of, low, cursor)

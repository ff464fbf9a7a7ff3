"""What picking in the client has in common for threads and asyncio: views, snapshots, reports.

The engine is the server's own, so a key leads to the same backend here and there. It needs xxhash.
"""

import random
import time
from typing import Any
from urllib.parse import quote

import msgspec

from optimizer.balancer.engine.call import Call as EngineCall
from optimizer.balancer.engine.endpoint import OPEN
from optimizer.balancer.engine.events import Unavailable as NoneAvailable
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.hashing import key_bytes
from optimizer.balancer.engine.settings import Group as Settings
from optimizer.client.protocol import ApiError, Call, TuneupError

DEFAULT_REFRESH_SECONDS = 1.0
# A server process learns of an ejection within a second of another: until then it is not over.
_SETTLES_SECONDS = 3.0
_encode = msgspec.json.Encoder().encode


class NoBackend(TuneupError):
    """No backend of the group can take the call."""


class BalancerAway(ApiError):
    """What other processes must hear of cannot be told now; picks go on."""


class Ejection(msgspec.Struct):
    """An ejection that is in force for everybody."""

    seconds: float
    times: int
    reason: str


class Snapshot(msgspec.Struct):
    """What the server says of a group."""

    settings: Settings
    ejects: bool
    unhealthy: list[str]
    ejected: dict[str, Ejection]


class _Counted(msgspec.Struct):
    counted: int


_snapshot = msgspec.json.Decoder(Snapshot)
_counted = msgspec.json.Decoder(_Counted)


class Acquired(EngineCall):
    """A backend for the length of a `with` or `async with` block; entering raises NoBackend.

    `address` is where to call; an exception that leaves the block, and `fail()`, count as a
    failure.
    """

    __slots__ = ()

    def __enter__(self) -> "Acquired":
        try:
            super().__enter__()
        except NoneAvailable as error:
            raise NoBackend(str(error)) from error
        return self

    async def __aenter__(self) -> "Acquired":
        return self.__enter__()


class View:
    """A group in this process, and what the server has not been told of it yet."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.group = Group(snapshot.settings, clock=time.monotonic, random=random.random)
        self._told: dict[str, tuple[Any, tuple[int, int, int, float, dict[int, int]]]] = {}
        self._ejected_at: dict[str, float] = {}
        self._unsent: dict[str, Any] | None = None
        self.take(snapshot)

    def acquire(self, key: str | bytes) -> Acquired:
        return Acquired(self.group, key_bytes(key) if key else b"")

    def take(self, snapshot: Snapshot) -> None:
        """Obey what the server says."""
        group, now = self.group, time.monotonic()
        if snapshot.settings != group.settings or snapshot.ejects != group.ejects:
            group.update(snapshot.settings, ejects=snapshot.ejects)
        group.lap()
        for name in list(group.endpoints):
            group.checked(name, name not in snapshot.unhealthy)
            found = snapshot.ejected.get(name)
            if found is not None:
                group.ejected_elsewhere(name, found.seconds, found.times, found.reason)
            elif now - self._ejected_at.get(name, 0.0) > _SETTLES_SECONDS:
                group.put_back(name)

    def report(self) -> dict[str, Any] | None:
        """Return what was done since the last report; None where that is nothing.

        It is the same again until `sent` says that the server has it.
        """
        if self._unsent is None:
            calls, ejected = self._calls(), self._ejections()
            self._unsent = {"calls": calls, "ejected": ejected} if calls or ejected else None
        return self._unsent

    def sent(self) -> None:
        """Note that the server has the report."""
        self._unsent = None

    def _calls(self) -> list[dict[str, Any]]:
        calls = []
        for one in self.group.endpoints.values():
            counts = {at: count for at, count in enumerate(one.counts) if count}
            now = (one.successes, one.failures, one.dropped, one.total_seconds, counts)
            known, before = self._told.get(one.name, (None, (0, 0, 0, 0.0, {})))
            if known is not one:
                before = (0, 0, 0, 0.0, {})
            self._told[one.name] = (one, now)
            ok, failed, dropped = now[0] - before[0], now[1] - before[1], now[2] - before[2]
            if ok or failed or dropped:
                new = {at: count - before[4].get(at, 0) for at, count in counts.items()}
                calls.append(
                    {
                        "backend": one.name,
                        "ok": ok,
                        "failed": failed,
                        "unreported": dropped,
                        "seconds": max(0.0, now[3] - before[3]),
                        "buckets": {str(at): count for at, count in new.items() if count},
                    }
                )
        return calls

    def _ejections(self) -> list[dict[str, str]]:
        found = []
        while self.group.news:
            event = self.group.news.popleft()
            one = self.group.endpoints.get(event.backend)
            if event.kind == "ejected" and one is not None and one.breaker == OPEN:
                one.told, self._ejected_at[one.name] = True, time.monotonic()
                found.append(
                    {"backend": one.name, "reason": event.reason, "detail": event.detail[:200]}
                )
        return found


def fetch(group: str) -> Call[Snapshot]:
    """Ask for what a client picks from."""
    path = f"/internal/v1/balancer/{quote(group, safe='')}"
    return Call("GET", path, b"", lambda _, body: _snapshot.decode(body), BalancerAway)


def tell(group: str, report: dict[str, Any]) -> Call[_Counted]:
    """Tell what was done."""
    path = f"/internal/v1/balancer/{quote(group, safe='')}/calls"
    body = _encode(report)
    return Call("POST", path, body, lambda _, got: _counted.decode(got), BalancerAway)

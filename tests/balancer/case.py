"""Groups for tests: at work on a clock that tests move, or as rows."""

from random import Random
from typing import Any

import msgspec

from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.settings import Backend
from optimizer.balancer.engine.settings import Group as Settings
from optimizer.balancer.models import Backend as BackendRow
from optimizer.balancer.models import Group as GroupRow
from optimizer.control.revisions import change


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def backends(count: int, **fields: Any) -> tuple[Backend, ...]:
    return tuple(Backend(f"b{n}", f"10.0.0.{n}:80", **fields) for n in range(count))


class Case:
    """A group at work; `play` has calls end at once."""

    def __init__(self, count: int = 5, *, zone: str = "", members: Any = (), **settings: Any):
        self.clock = Clock()
        self.settings = Settings("g", backends=tuple(members) or backends(count), **settings)
        self.group = Group(
            self.settings,
            clock=self.clock,
            random=Random(7).random,  # noqa: S311
            zone=zone,
        )

    def play(self, calls: int, *, failing: Any = (), seconds: Any = 0.01, key: Any = b"") -> None:
        for n in range(calls):
            endpoint = self.group.begin(key(n) if callable(key) else key)
            took = seconds(endpoint.name) if callable(seconds) else seconds
            self.group.done(endpoint, took, failed=endpoint.name in failing)

    def fail(self, name: str, times: int = 1) -> None:
        """Have a backend's own calls fail, however it was picked."""
        endpoint = self.group.endpoints[name]
        for _ in range(times):
            endpoint.in_flight += 1
            self.group.done(endpoint, 0.001, failed=True)

    def succeed(self, name: str, times: int = 1, seconds: float = 0.01) -> None:
        endpoint = self.group.endpoints[name]
        for _ in range(times):
            endpoint.in_flight += 1
            self.group.done(endpoint, seconds, failed=False)

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.group.lap()

    def update(self, **fields: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **fields)
        self.group.update(self.settings)

    def picks(self, calls: int = 1000, key: Any = None) -> dict[str, int]:
        """Return who gets how many of so many calls that end at once."""
        before = {name: one.picks for name, one in self.group.endpoints.items()}
        self.play(calls, key=key or (lambda n: b"key-%d" % n))
        return {name: one.picks - before[name] for name, one in self.group.endpoints.items()}

    def state(self, name: str) -> str:
        return self.group.endpoints[name].breaker


def make(name: str, *addresses: str, **fields: Any) -> GroupRow:
    """Write a group with a backend for each address, named <group>-0 and so on."""
    with change("balancer"):
        row = GroupRow(name=name, **fields)
        row.full_clean()
        row.save()
        for at, address in enumerate(addresses):
            backend = BackendRow(group=row, name=f"{name}-{at}", address=address)
            backend.full_clean()
            backend.save()
    return row

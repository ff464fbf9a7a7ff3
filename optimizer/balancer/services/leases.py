"""Picks over the API: a lease says which backend, and counts as under way until it is reported.

A lease belongs to the process that gave it. A report that another process receives goes to it
through Redis. A lease that nobody reports ends by itself, and counts as unreported.
"""

import os
import secrets
import threading
import time
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import msgspec
from django.utils.crypto import constant_time_compare, salted_hmac

from optimizer.balancer.engine.endpoint import Endpoint
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.hashing import key_bytes
from optimizer.balancer.services.balancing import balancer
from optimizer.control import ticker
from optimizer.control.redis import RedisAway, call

_REPORTS = "tuneup:{balancer}:reports:"
_MOST_AT_ONCE = 1000
_MAC_LENGTH = 16
MAX_LEASE_LENGTH = 100


class UnknownLease(LookupError):
    """A lease that was never given, or was reported already."""


class LeaseOver(LookupError):
    """A lease that has ended: it was not reported in its time."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A backend to call, and what to report afterwards."""

    lease: str
    backend: str
    address: str
    expires_in_seconds: float


class Report(msgspec.Struct):
    """How a leased call went; without `seconds` the time since the pick counts."""

    lease: str
    ok: bool
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    group: Group
    endpoint: Endpoint
    began: float


class Leases:
    """The leases of this process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin as a process that has given no lease."""
        self._lock = threading.Lock()
        self._me = secrets.token_hex(6)
        self._number = 0
        self._held: dict[str, _Held] = {}
        self._ends: list[tuple[float, str]] = []

    @property
    def count(self) -> int:
        """How many are not reported yet."""
        return len(self._held)

    def pick(self, group: str, key: str = "") -> Lease:
        """Pick a backend for a call that somebody else makes. Raises UnknownGroup, Unavailable."""
        found = balancer.group(group)
        endpoint = found.begin(key_bytes(key))
        seconds = found.settings.lease_seconds
        with self._lock:
            self._number += 1
            body = f"{self._me}.{self._number:x}.{int((time.time() + seconds) * 1000):x}"
            name = f"{body}.{_mac(group, body)}"
            self._held[name] = _Held(found, endpoint, found.clock())
            heappush(self._ends, (found.clock() + seconds, name))
        ticker.ensure()
        return Lease(name, endpoint.name, endpoint.address, seconds)

    def report(self, group: str, report: Report) -> bool:
        """Count how a call went; False where another process counts it, a moment later.

        Raises UnknownLease, LeaseOver, and RedisAway where it is another process's.
        """
        body, _, mac = report.lease.rpartition(".")
        if not constant_time_compare(mac, _mac(group, body)):
            raise UnknownLease("no such lease was given for this group")
        owner, _, ends = body.split(".")
        if owner == self._me:
            self._end(report)
            return True
        if int(ends, 16) < time.time() * 1000:
            raise LeaseOver("the lease has ended before it was reported")
        row = msgspec.json.encode(report)

        def send(r: Any) -> None:
            pipe = r.pipeline(transaction=False)
            pipe.rpush(_REPORTS + owner, row)
            pipe.expire(_REPORTS + owner, 60)
            pipe.execute()

        call(send)
        return False

    def tick(self) -> None:
        """End what is over, and count what other processes were told."""
        if not self._held:
            return
        try:
            rows: Any = call(lambda r: r.lpop(_REPORTS + self._me, _MOST_AT_ONCE))
        except RedisAway:
            rows = None
        for row in rows or ():
            try:
                self._end(msgspec.json.decode(row, type=Report))
            except (UnknownLease, LeaseOver):
                continue  # reported twice, or too late: it counts as unreported
        self._end_overdue()

    def _end(self, report: Report) -> None:
        with self._lock:
            held = self._held.pop(report.lease, None)
        if held is None:
            ends = int(report.lease.split(".")[2], 16)
            if ends < time.time() * 1000:
                raise LeaseOver("the lease has ended before it was reported")
            raise UnknownLease("the lease was reported already")
        seconds = report.seconds
        if seconds is None:
            seconds = held.group.clock() - held.began
        held.group.done(held.endpoint, seconds, failed=not report.ok)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        while True:
            with self._lock:
                if not self._ends or self._ends[0][0] > now:
                    return
                _, name = heappop(self._ends)
                held = self._held.pop(name, None)
            if held is not None:
                held.group.drop(held.endpoint)


def _mac(group: str, body: str) -> str:
    # So that a report of what was never given is an error, whichever process receives it.
    made = salted_hmac("tuneup.balancer.lease", f"{group}/{body}", algorithm="sha256")
    return made.hexdigest()[:_MAC_LENGTH]


leases = Leases()


def _after_fork() -> None:
    leases.reset()


os.register_at_fork(after_in_child=_after_fork)


def tick() -> None:
    """Look after the leases of this process."""
    leases.tick()

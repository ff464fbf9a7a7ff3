"""The balancer of this process: `from optimizer.balancer import balancer`."""

import os
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings

from optimizer.balancer import live, metrics
from optimizer.balancer.engine.call import Call
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.hashing import key_bytes
from optimizer.balancer.engine.settings import Settings
from optimizer.balancer.services import hedging
from optimizer.control import ticker

T = TypeVar("T")
MAX_KEY_LENGTH = 512


class UnknownGroup(LookupError):
    """A group that no admin has made."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no group {name!r}; known: {', '.join(known) or 'none yet'}")


class Balancer:
    """All groups, with what this process knows of their backends."""

    def __init__(self) -> None:
        self.reset()

    def acquire(self, group: str, key: str | bytes = "") -> Call:
        """Return a backend of the group for a `with` block, which is timed and counted.

        `key` leads to the same backend again where the strategy is sticky. Raises UnknownGroup;
        entering the block raises Unavailable. `backend.address` is where to call; an exception that
        leaves the block, and `backend.fail()`, count as a failure.
        """
        return Call(self.group(group), key_bytes(key) if key else b"")

    def call(
        self,
        group: str,
        function: Callable[[Call], T],
        *,
        key: str | bytes = "",
        safe: bool = False,
    ) -> T:
        """Call `function(backend)` and return its result; raises what it raises.

        With `safe` (it may be done twice) a call that failed is sent to another backend, up to the
        group's attempts and within its retry budget; and if the group hedges, one that is slow is
        sent to a second backend as well, each in a thread of its own.
        """
        one, hashed = self.group(group), key_bytes(key) if key else b""
        if safe and one.settings.hedge_percentile:
            return hedging.run(one, function, hashed)
        tried: list[str] = []
        failure: Exception | None = None
        while True:
            call, has_begun = Call(one, hashed, tuple(tried)), False
            try:
                with call:
                    has_begun = True
                    return function(call)
            except Exception as error:
                if not has_begun:  # no other backend could take it
                    raise (failure or error) from None
                failure = error
                tried.append(call.name)
                if not safe or not self.may_retry(one, len(tried)):
                    raise

    def may_retry(self, group: Group, attempts: int) -> bool:
        """Say whether a call that was tried so often may be tried on another backend."""
        if attempts >= min(group.settings.max_attempts, len(group.available.endpoints)):
            return False
        if not group.may_retry():
            return False
        metrics.RETRIES.labels(group.settings.name).inc()
        return True

    def group(self, name: str) -> Group:
        """Return a group at work. Raises UnknownGroup."""
        current = live.balancer.current()
        if current is not self._settings:
            self._obey(current)
        group = self._groups.get(name)
        if group is None:
            raise UnknownGroup(name, list(self._groups))
        return group

    def groups(self) -> dict[str, Group]:
        """Return the groups that this process has used."""
        return self._groups

    def obey(self) -> None:
        """Take over changed settings though nobody picks, so that the pages are right."""
        current = live.balancer.peek()
        if self._settings is not None and current is not self._settings:
            self._obey(current)

    def reset(self) -> None:
        """Begin as a process that has called no backend."""
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._groups: dict[str, Group] = {}

    def _obey(self, current: Settings) -> None:
        with self._lock:
            if current is self._settings:
                return
            groups: dict[str, Group] = {}
            for name, wanted in current.groups.items():
                known = self._groups.get(name)
                if known is None or known.settings.kind != wanted.kind:
                    known = Group(
                        wanted,
                        clock=time.monotonic,
                        random=random.random,
                        background=_in_a_thread,
                        zone=settings.BALANCER_ZONE,
                        ejects=current.ejects,
                    )
                elif known.settings != wanted or known.ejects != current.ejects:
                    known.update(wanted, ejects=current.ejects)
                groups[name] = known
            self._groups, self._settings = groups, current
        ticker.ensure()


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="tuneup-balancer-table", daemon=True).start()


balancer = Balancer()


def _after_fork() -> None:
    balancer.reset()  # what the parent has under way is not this process's


os.register_at_fork(after_in_child=_after_fork)

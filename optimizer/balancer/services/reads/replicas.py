"""The replicas as this process sees them: looked at by a thread each, every quarter of a second."""

import os
import threading
import time
from contextlib import closing
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from optimizer.balancer import live, metrics
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.lsn import end_of_records, parse
from optimizer.balancer.engine.replicas import Replica, Trail
from optimizer.balancer.engine.settings import Group as Settings
from optimizer.balancer.services import sharing
from optimizer.balancer.services.balancing import UnknownGroup, balancer
from optimizer.control.redis import RedisAway

GROUP = "replicas"  # the group of the balancer that the router picks from
LOOK_SECONDS = 0.25
IDLE_SECONDS = 10.0  # without reads nobody looks
_TELL_SECONDS = 1.0
_MOST_LAG_SECONDS = 1e6  # told of one whose lag nobody knows
_DEFAULT_MAX_LAG_SECONDS = Settings("").max_lag_seconds
# The age of the last commit is only asked for where the primary's own trail is too short.
_LOOK = (
    "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text,"
    " extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8"
)
_WHERE = "SELECT pg_current_wal_insert_lsn()::text"


def group() -> Group | None:
    """Return the group whose backends are the replicas; None where there is none."""
    try:
        found = balancer.group(GROUP)
    except UnknownGroup:
        return None
    return found if found.settings.kind == "database" else None


def max_lag_seconds() -> float:
    """Return the lag beyond which no replica serves."""
    found = live.balancer.peek().groups.get(GROUP)
    return found.max_lag_seconds if found is not None else _DEFAULT_MAX_LAG_SECONDS


class Replicas:
    """All replicas, and the primary's trail, as this process sees them."""

    def __init__(self) -> None:
        self.by_alias = {alias: Replica(alias) for alias in settings.DATABASE_REPLICAS}
        self.trail = Trail()
        self._lock = threading.Lock()
        self._threads: list[_Looker] = []
        self._asked_at = float("-inf")
        self.asked = threading.Event()

    def ask(self) -> None:
        """Have the replicas looked at, as there are reads."""
        self._asked_at = time.monotonic()
        if not self.asked.is_set():
            self.asked.set()
        if not self._threads and settings.WATCH_LIVE_SETTINGS:
            self._start()

    @property
    def is_idle(self) -> bool:
        return time.monotonic() - self._asked_at > IDLE_SECONDS

    def _start(self) -> None:
        with self._lock:
            if not self._threads:
                self._threads = [
                    _Looker(self, alias) for alias in (DEFAULT_DB_ALIAS, *self.by_alias)
                ]
                for thread in self._threads:
                    thread.start()

    def look(self, alias: str, connection: Any) -> None:
        """Look at the primary or a replica once. Raises DatabaseError and InterfaceError."""
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(_WHERE if alias == DEFAULT_DB_ALIAS else _LOOK)
            row = cursor.fetchone()
        if alias == DEFAULT_DB_ALIAS:
            position = end_of_records(parse(row[0]))
            self.trail.add(began, position)
            for one in self.by_alias.values():
                one.compare(began, position)
            return
        replica, (in_recovery, text, age_seconds) = self.by_alias[alias], row
        now = time.monotonic()
        if not in_recovery or text is None:
            replica.is_no_standby(now, "it is no standby")
            return
        position, age = parse(text), float("inf") if age_seconds is None else age_seconds
        replica.seen(now, position, self.trail.lag_seconds(position, now, age))
        metrics.LAG.labels(alias).set(min(replica.lag_seconds, _MOST_LAG_SECONDS))

    def tell(self, alias: str) -> None:
        """Tell the balancer's group, and all processes, how far a replica lags."""
        replica, found = self.by_alias[alias], balancer.groups().get(GROUP)
        lag_seconds = min(replica.lag_seconds, _MOST_LAG_SECONDS)
        if found is None or replica.why_not(0, time.monotonic(), float("inf")):
            return
        for one in list(found.endpoints.values()):
            if one.address == alias:
                found.lagging(one.name, lag_seconds)
                try:
                    sharing.report_lag(GROUP, one.name, lag_seconds)
                except RedisAway:
                    return  # each process looks by itself


class _Looker(threading.Thread):
    """Looks at one server for as long as there are reads, over a connection of its own."""

    def __init__(self, of: Replicas, alias: str) -> None:
        super().__init__(name=f"tuneup-look-{alias}", daemon=True)
        self._of, self._alias = of, alias
        self._told_at = float("-inf")

    def run(self) -> None:
        while True:
            with closing(connections.create_connection(self._alias)) as connection:
                self._look_until_idle(connection)
            self._of.asked.wait()

    def _look_until_idle(self, connection: Any) -> None:
        of, alias = self._of, self._alias
        while not of.is_idle:
            try:
                of.look(alias, connection)
            except (DatabaseError, InterfaceError) as error:
                connection.close()
                if alias in of.by_alias:
                    of.by_alias[alias].lost(str(error).partition("\n")[0])
            else:
                if alias in of.by_alias and time.monotonic() - self._told_at > _TELL_SECONDS:
                    self._told_at = time.monotonic()
                    of.tell(alias)
            time.sleep(LOOK_SECONDS)
        of.asked.clear()


known = Replicas()


def reset() -> None:
    """Begin as a process that has looked at nothing; its parent's threads are not its own."""
    known.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=reset)

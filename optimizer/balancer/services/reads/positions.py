"""What each reader must see, shared by all processes through Redis.

Where Redis is away, or has lost what it knew, nobody can say what a reader must see. Then reads go
to the primary: until Redis is back, and for `floor_seconds` longer, after which whatever was
written meanwhile is on every replica that may serve at all.
"""

import logging
import threading
import time
from collections import OrderedDict
from importlib.resources import files
from typing import Any

import redis

from optimizer.balancer.engine.lsn import LAST, from_key, to_key
from optimizer.balancer.engine.replicas import FRESH_SECONDS
from optimizer.balancer.services.reads import replicas
from optimizer.control.redis import RedisAway, execute
from optimizer.control.scripts import Script

_PREFIX = "tuneup:{balancer}:reads:"
# As long as Redis has the first, it has lost nothing; the second lives until its loss is over.
WHOLE, LOST = f"{_PREFIX}whole", f"{_PREFIX}lost"
_MOST_UNSENT = 10_000
LATER = Script((files("optimizer.balancer.engine") / "later.lua").read_text())
logger = logging.getLogger(__name__)


def floor_seconds() -> float:
    """Return after how long what was written is on every replica that may serve."""
    return replicas.max_lag_seconds() + 2 * FRESH_SECONDS


def kept_seconds() -> float:
    """Return how long a position is kept: an older one is on every replica that may serve."""
    return 60 + 2 * floor_seconds()


class Positions:
    """The positions of readers by name, with what this process could not tell yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsent: OrderedDict[str, int] = OrderedDict()
        self._away_at = float("-inf")

    def store(self, name: str, position: int) -> None:
        """Tell what a reader must see; it is told later where Redis is away."""
        try:
            self._send(name, position)
        except (RedisAway, redis.ResponseError) as error:  # the latter as when it is full
            self._away(error)
            with self._lock:
                self._unsent[name] = max(position, self._unsent.get(name, 0))
                if len(self._unsent) > _MOST_UNSENT:
                    self._unsent.popitem(last=False)

    def load(self, name: str) -> int | None:
        """Return what a reader must see, 0 for nothing; None where nobody can say."""
        try:
            found = execute("MGET", key_of(name), _pin(name), WHOLE, LOST)
        except (RedisAway, redis.ResponseError) as error:
            self._away(error)
            return None
        position, pin, whole, lost = found
        if whole is None:
            self._begin_anew()
            return None
        if lost is not None or time.monotonic() - self._away_at < floor_seconds():
            return None
        if pin is not None:
            return LAST
        known = from_key(position.decode()) if position else 0
        return None if known is None else max(known, self._unsent.get(name, 0))

    def tick(self) -> None:
        """Tell what could not be told."""
        while self._unsent:
            with self._lock:
                if not self._unsent:
                    return
                name, position = next(iter(self._unsent.items()))
            try:
                self._send(name, position)
            except (RedisAway, redis.ResponseError) as error:
                self._away(error)
                return
            with self._lock:
                if self._unsent.get(name) == position:
                    del self._unsent[name]

    def _send(self, name: str, position: int) -> None:
        if position >= LAST:
            execute("SET", _pin(name), "1", "PX", _milliseconds(floor_seconds()))
            return
        LATER.run((key_of(name),), to_key(position), _milliseconds(kept_seconds()))

    def _begin_anew(self) -> None:
        try:
            execute("SET", LOST, "1", "PX", _milliseconds(floor_seconds()))
            execute("SET", WHOLE, "1")
        except (RedisAway, redis.ResponseError) as error:
            self._away(error)

    def _away(self, error: Exception) -> None:
        if time.monotonic() - self._away_at > floor_seconds():
            logger.warning("What readers must see cannot be shared, they stay on the primary: %s",
                           error)  # fmt: skip
        self._away_at = time.monotonic()


def key_of(name: str) -> str:
    """Return the Redis key of what a reader must see."""
    return f"{_PREFIX}after:{name}"


def _pin(name: str) -> str:
    return f"{_PREFIX}pin:{name}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


shared = Positions()


def store(name: str, position: int) -> None:
    """Tell what a reader must see."""
    shared.store(name, position)


def load(name: str) -> int | None:
    """Return what a reader must see; None where nobody can say."""
    return shared.load(name)


def tick() -> None:
    """Tell what could not be told."""
    shared.tick()


def reset(**_: Any) -> None:
    """Begin as a process that has stored nothing."""
    shared.__init__()  # type: ignore[misc]

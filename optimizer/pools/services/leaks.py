"""What is told of leaks: a warning in the log, and the last ones for the admin's pages."""

import logging
import socket
import threading
from collections import deque
from os import getpid
from time import time
from typing import Any

import msgspec
import redis

from optimizer.control import watcher
from optimizer.control.redis import RedisAway, call
from optimizer.pools.engine.leaks import Leak

logger = logging.getLogger(__name__)
KEPT = 50
_KEY = "tuneup:{pools}:leaks"
_EXPIRY_SECONDS = 86_400


class Told(msgspec.Struct, frozen=True):
    """A leak as it is kept: where, when, and what it was."""

    process: str
    at: float  # seconds since the epoch
    leak: Leak


_unsent: deque[Told] = deque(maxlen=KEPT)


def report(leak: Leak) -> None:
    """Log a leak and remember it; it is sent with the next report, for no caller waits for it."""
    if leak.thread == threading.main_thread().ident and watcher.status()["role"] == "command":
        return  # a command is one thread with one connection, as long as it runs
    _unsent.append(Told(f"{socket.gethostname()}:{getpid()}", time(), leak))
    if leak.came_back:
        logger.info("A connection of the pool %s came back after %.1f s: no leak, but long",
                    leak.pool, leak.held_seconds)  # fmt: skip
    elif not leak.thread:
        logger.warning("A connection of the pool %s was dropped without being given back; "
                       "it is replaced", leak.pool)  # fmt: skip
    else:
        where = "taken at" if leak.taken_here else "its holder is at"
        logger.warning(
            "A connection of the pool %s is held for %.1f s by thread %d; %s\n    %s",
            leak.pool, leak.held_seconds, leak.thread, where,
            "\n    ".join(leak.stack) or "an unknown place",
        )  # fmt: skip


def send(r: redis.Redis) -> None:
    """Write what was reported into Redis."""
    while _unsent:
        one = _unsent[0]
        pipe = r.pipeline(transaction=False)
        pipe.lpush(_KEY, msgspec.msgpack.encode(one))
        pipe.ltrim(_KEY, 0, KEPT - 1)
        pipe.expire(_KEY, _EXPIRY_SECONDS)
        pipe.execute()
        _unsent.popleft()


def last(pool: str = "") -> list[Told]:
    """Return the last leaks of all processes, newest first; of this one while Redis is away."""
    try:
        rows: list[Any] = call(lambda r: r.lrange(_KEY, 0, -1))
        told = [*reversed(_unsent), *(msgspec.msgpack.decode(row, type=Told) for row in rows)]
    except RedisAway:
        told = list(reversed(_unsent))
    return [one for one in told if not pool or one.leak.pool == pool]

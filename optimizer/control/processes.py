"""Tell every process of a new revision, and see which of them obey it.

Times come from Redis's clock alone, so the seconds shown are right on hosts whose clocks differ.
"""

import os
import socket
from dataclasses import dataclass
from typing import Any

import redis

from optimizer.control.redis import RedisAway, call, server_time

CHANNEL = "tuneup:{control}:revisions"
_PROCESSES = "tuneup:{control}:processes"
_PROCESS = "tuneup:{control}:process:"
_PUBLISHED = "tuneup:{control}:published:"
_PUBLISHED_EXPIRY_SECONDS = 3600
SEEN_WITHIN_SECONDS = 6.0  # three heartbeats

_ANNOUNCE = """
local now = redis.call('TIME')
local key = KEYS[1]
redis.call('SET', key, string.format('%.0f', now[1] * 1000000 + now[2]), 'EX', ARGV[2], 'NX')
return redis.call('PUBLISH', ARGV[3], ARGV[1])
"""

_REPORT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamp = string.format('%.0f', now)
local before = redis.call('HGET', KEYS[2], 'revision')
if before ~= ARGV[5] then
  -- A process that has just started did not wait for anything.
  redis.call('HSET', KEYS[2], 'revision', ARGV[5], 'reached_at', before and stamp or '')
end
redis.call('HSET', KEYS[2], 'role', ARGV[2], 'host', ARGV[3], 'pid', ARGV[4], 'error', ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('ZADD', KEYS[1], stamp, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[6] * 1000000))
return stamp
"""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it last reported itself.

    `took_seconds` is from the announcement of the revision asked for until this process obeyed,
    None where it started later or has gone on since.
    """

    role: str
    host: str
    pid: int
    revision: int
    took_seconds: float | None
    age_seconds: float
    error: str
    state: str

    @property
    def name(self) -> str:
        return f"{self.role} {self.host}:{self.pid}"


def announce(number: int) -> None:
    """Publish revision `number`; a process that misses it finds it by its poll."""
    try:
        call(lambda r: r.eval(
            _ANNOUNCE, 1, f"{_PUBLISHED}{number}", number, _PUBLISHED_EXPIRY_SECONDS, CHANNEL
        ))  # fmt: skip
    except (RedisAway, redis.ResponseError):
        return


def report(role: str, revision: int, *, error: str, expiry_seconds: int) -> None:
    """Report this process with the revision it has reached. Raises RedisAway."""
    me = f"{socket.gethostname()}:{os.getpid()}"
    call(lambda r: r.eval(
        _REPORT, 2, _PROCESSES, _PROCESS + me,
        me, role, socket.gethostname(), os.getpid(), revision, expiry_seconds, error[:200],
    ))  # fmt: skip


def leave() -> None:
    """Take this process off the list, as it ends by itself."""
    me = f"{socket.gethostname()}:{os.getpid()}"
    try:
        call(lambda r: (r.zrem(_PROCESSES, me), r.delete(_PROCESS + me)))
    except RedisAway:
        return


def seen(revision: int) -> list[Process]:
    """Return the processes that reported lately, and how each stands to `revision`.

    SYNCED has reached it, STALE has not, NOT SEEN has been silent for 6 seconds. Raises RedisAway.
    """

    def read(r: redis.Redis) -> list[Process]:
        now = server_time(r) * 1_000_000
        members: list[Any] = r.zrange(_PROCESSES, 0, -1, withscores=True)
        pipe = r.pipeline(transaction=False)
        pipe.get(f"{_PUBLISHED}{revision}")
        for member, _ in members:
            pipe.hgetall(_PROCESS + member.decode())
        published, *rows = pipe.execute()
        seen_at = (at for _, at in members)
        return [
            _process(row, (now - at) / 1e6, revision, published)
            for at, row in zip(seen_at, rows, strict=True)
            if row
        ]

    return sorted(call(read), key=lambda p: (_ORDER.get(p.role, 9), p.host, p.pid))


_ORDER = {"web": 0, "worker": 1, "beat": 2, "command": 3}


def _process(
    row: dict[bytes, bytes], age_seconds: float, revision: int, published: bytes | None
) -> Process:
    text = {key.decode(): value.decode() for key, value in row.items()}
    reached = int(text["revision"])
    if age_seconds > SEEN_WITHIN_SECONDS:
        state = "NOT SEEN"
    else:
        state = "SYNCED" if reached >= revision else "STALE"
    took = None
    if published is not None and reached == revision and text["reached_at"]:
        # A poll may find the revision before it is announced.
        took = max(0.0, (int(text["reached_at"]) - int(published)) / 1e6)
    return Process(
        role=text["role"],
        host=text["host"],
        pid=int(text["pid"]),
        revision=reached,
        took_seconds=took,
        age_seconds=max(0.0, age_seconds),
        error=text.get("error", ""),
        state=state,
    )

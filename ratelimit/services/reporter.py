"""Tells, once a second, what this process counted: nothing is written per decision.

The counts go to Prometheus, to the charts (tier, scope and outcome by ten seconds), to the list of
top consumers (by five minutes, the largest alone) and, for a sample of subjects, to the record that
a change can be tried on.
"""

import hashlib
import os
import secrets
import socket
import time
from collections import Counter
from typing import Any
from zlib import crc32

import msgspec
import redis

from optimizer.control.redis import RedisAway, call, server_time
from optimizer.control.series import Series
from ratelimit import metrics
from ratelimit.engine.accounts import Account
from ratelimit.engine.shares import Share
from ratelimit.live import ratelimit
from ratelimit.services.limiter import Limiter, limiter

TOP_SECONDS = 300
TOP_KEPT = 1000
_TOP_SENT = 200
_EXPIRY_SECONDS = 3900
_DECIDER_SECONDS = 5.0  # silent for longer, a process has no share any more
_DECIDES_SECONDS = 60.0
_PREFIX = "tuneup:{ratelimit}"
DECIDERS = f"{_PREFIX}:deciders"
ROWS_A_MINUTE = 5000

series = Series("ratelimit")
_Group = tuple[str, str, str, str]  # tier, scope, outcome, source
_KINDS = (
    ("allowed", "redis"),
    ("denied", "redis"),
    ("shadow", "redis"),
    ("denied", "deny-cache"),
    ("allowed", "lease"),
)
_SHADOW_KINDS = tuple((o if s != "deny-cache" else "shadow", s) for o, s in _KINDS)


def top_key(at: float) -> str:
    return f"{_PREFIX}:top:{int(at) // TOP_SECONDS}"


def record_key(minute: int) -> str:
    return f"{_PREFIX}:record:{minute}"


def subject_hash(subject: str) -> str:
    """Return what the record keeps of a subject; its last digits tell at which level it stays."""
    quick = crc32(subject.encode())
    return f"{hashlib.blake2b(subject.encode(), digest_size=6).hexdigest()}{quick:08x}"


class Row(msgspec.Struct, array_like=True):
    """Calls of one subject in one second; `level` says that 1 of 2**level subjects is recorded."""

    second: int
    subject: str
    scope: str
    tier: str
    cost: int
    count: int
    level: int


class Reporter:
    """Reads the counters of a limiter's accounts."""

    def __init__(self, limiter: Limiter) -> None:
        self._decisions = limiter.decisions
        self._me = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._level = 0
        self._level_minute = 0
        self._decided_at = float("-inf")

    def report(self) -> None:
        """Report once; while Redis is away the charts' counts are kept for later."""
        now = time.time()
        self._drop_expired(now)
        told: Counter[_Group] = Counter()
        top: Counter[str] = Counter()
        rows: list[Row] = []
        waiting = self._decisions.waiting
        for _ in range(len(waiting)):
            account = waiting.popleft()
            account.touched = False  # first: what is counted from here on is told next time
            calls, cost = _take_news(account, told)
            if calls:
                top[account.subject] += calls
                self._record(account, calls, cost, int(now), rows)
        counts: Counter[str] = Counter()
        for (tier, scope, outcome, source), count in told.items():
            metrics.DECISIONS.labels(tier, scope, outcome, source).inc(count)
            counts[f"{outcome}|{tier}|{scope}"] += count
        series.add(counts)
        metrics.ACCOUNTS.set(len(self._decisions.accounts))
        if counts:
            self._decided_at = time.monotonic()
        if not series.has_unsent and time.monotonic() - self._decided_at > _DECIDES_SECONDS:
            return
        try:
            series.send()
            call(lambda r: self._send(r, top, rows, now))
        except RedisAway:
            return

    def _drop_expired(self, now: float) -> None:
        """Let those be looked up anew for whom a row has expired."""
        for key, account in list(self._decisions.accounts.items()):
            if account.until and account.until <= now:
                self._decisions.accounts.pop(key, None)

    def _record(self, account: Account, calls: int, cost: int, now: int, rows: list[Row]) -> None:
        if not account.settings or not account.settings.sample_subjects:
            return
        # By a quick hash first: with a thousand subjects a second this is what a report costs.
        if crc32(account.subject.encode()) & ((1 << self._level) - 1) == 0:
            mean = max(1, round(cost / calls))
            hashed, tier = subject_hash(account.subject), account.limit.name
            rows.append(Row(now, hashed, account.scope, tier, mean, calls, self._level))

    def _send(self, r: redis.Redis, top: Counter[str], rows: list[Row], now: float) -> None:
        clock = server_time(r)
        pipe = r.pipeline(transaction=False)
        pipe.zadd(DECIDERS, {self._me: clock})
        pipe.zremrangebyscore(DECIDERS, "-inf", clock - _DECIDER_SECONDS)
        pipe.zrange(DECIDERS, 0, -1)
        if top:
            key = top_key(now)
            for subject, calls in top.most_common(_TOP_SENT):
                pipe.zincrby(key, calls, subject)
            pipe.zremrangebyrank(key, 0, -TOP_KEPT - 1)
            pipe.expire(key, _EXPIRY_SECONDS)
        if rows:
            key = record_key(int(now) // 60)
            pipe.rpush(key, *(msgspec.msgpack.encode(row) for row in rows))
            pipe.expire(key, _EXPIRY_SECONDS)
        replies: list[Any] = pipe.execute()
        # By name, so that all number themselves alike.
        deciders = sorted(replies[2])
        me = self._me.encode()
        if me in deciders:
            self._decisions.share = Share(deciders.index(me), len(deciders))
        if rows:
            self._bound(r, record_key(int(now) // 60), int(replies[-2]), len(rows), int(now) // 60)

    def _bound(self, r: redis.Redis, key: str, length: int, mine: int, minute: int) -> None:
        """Record fewer subjects when a second had too many, or the minute is full."""
        if mine > ratelimit.current().sample_subjects or length > ROWS_A_MINUTE:
            self._level = min(30, self._level + 1)
            self._level_minute = minute
        elif self._level and minute > self._level_minute + 5:
            self._level -= 1
            self._level_minute = minute
        if length > ROWS_A_MINUTE:
            r.ltrim(key, -ROWS_A_MINUTE, -1)


def _take_news(account: Account, told: "Counter[_Group]") -> tuple[int, int]:
    """Add what was decided since the last time; return the calls and their cost in tokens."""
    tier, scope, before = account.limit.name, account.scope, account.reported
    now = (
        account.allowed,
        account.denied,
        account.shadowed,
        account.cached_denials,
        account.leased_passes,
        account.costs,
    )
    account.reported = now
    calls = sum(now[:5]) - sum(before[:5])
    if calls:
        kinds = _SHADOW_KINDS if account.limit.shadow else _KINDS
        for (outcome, source), count, known in zip(kinds, now, before, strict=False):
            if count != known:
                told[tier, scope, outcome, source] += count - known
    if account.others:
        others, account.others = account.others, None
        for (outcome, source), count in others.items():
            told[tier, scope, outcome, source] += count
            calls += count
    return calls, calls + now[5] - before[5]


reporter = Reporter(limiter)


def _after_fork() -> None:
    global reporter
    reporter = Reporter(limiter)


os.register_at_fork(after_in_child=_after_fork)


def report() -> None:
    """Report what this process counted."""
    reporter.report()

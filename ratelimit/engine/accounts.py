"""What a process knows of one bucket by itself, so that most calls need no trip to Redis.

Deny cache: a denial says when the tokens will be there; until then it stands. Lease: a hot bucket
hands a process some of its tokens for a short time; spending them needs nobody else, what is left
goes back, and while they are out the bucket counts them as held, so that no more is admitted than
one exact bucket would admit. Source of leases: Doorman (Google, 2016) and bucket4j's optimizations.
"""

import threading
import time
from collections import deque
from typing import Any

from ratelimit.engine.buckets import Ask, Lent, Told, decision
from ratelimit.engine.limit import CONCURRENCY, LEASE_SECONDS, Decision, Limit
from ratelimit.engine.token_bucket import TokenBucket

FIRST_LEASE, LARGEST_LEASE = 4, 1000
_MOST_COSTS = 8  # whose denials are remembered for one bucket
_DENIED: dict[int, tuple[float, Decision]] = {}
_NOTHING = (0, 0, 0, 0, 0, 0)

monotonic = time.monotonic


class Lease:
    """Tokens that this process holds."""

    __slots__ = ("left", "remaining", "reset_at", "tokens", "until", "window")

    def __init__(self, told: Told, sent_at: float) -> None:
        self.tokens = self.left = told.granted
        self.window = told.window
        self.until = sent_at + LEASE_SECONDS  # from the sending on: never later than Redis counts
        self.remaining = max(0, told.remaining)
        self.reset_at = sent_at + told.full / 1e6

    def lent(self) -> Lent:
        return Lent(self.left, self.tokens, self.window)


class Account:
    """One subject in one scope, as this process knows it.

    Counters only grow; whoever reports them remembers what it has told. An account belongs to the
    settings it was opened under, and is left behind when they change.
    """

    __slots__ = (
        "asked_at",
        "away",
        "allowed",
        "cached_denials",
        "costs",
        "denied",
        "denials",
        "fallback",
        "fixed",
        "key",
        "lapsed",
        "lease",
        "lends",
        "leased_passes",
        "limit",
        "lock",
        "policy",
        "others",
        "plain",
        "reported",
        "same",
        "shadowed",
        "scope",
        "settings",
        "subject",
        "touched",
        "until",
        "wanted",
        "waiting",
    )

    def __init__(
        self,
        subject: str,
        key: bytes,
        limit: Limit,
        waiting: "deque[Account]",
        *,
        settings: Any = None,
        scope: str = "",
        policy: str = "",
        fixed: Decision | None = None,
        until: float = 0.0,
        away: str = "open",
    ) -> None:
        self.subject, self.key, self.limit, self.waiting = subject, key, limit, waiting
        self.settings, self.scope, self.policy = settings, scope, policy or limit.name
        self.fixed, self.until, self.away = fixed, until, away
        self.denials = _DENIED
        self.lease: Lease | None = None
        self.lapsed: list[Lease] = []
        self.lends = False  # whether it is among those whose leases are watched
        self.lock = threading.Lock()
        self.asked_at = -1.0
        self.wanted = FIRST_LEASE
        self.fallback: tuple[Any, TokenBucket | None] | None = None  # while Redis is away
        self.touched = False
        # What was decided: by Redis (allowed, denied, shadowed), by this process, by whom else.
        self.allowed = self.denied = self.shadowed = 0
        self.cached_denials = self.leased_passes = self.costs = 0
        self.others: dict[tuple[str, str], int] | None = None
        self.reported: tuple[int, ...] = _NOTHING
        self.plain: bytes | None = None  # what asks Redis for one token, ready to be sent
        self.same: Ask | None = None  # the same, to be sent with others

    def decide(self, cost: int) -> Decision | None:
        """Return the decision where this process can take it, else None."""
        if not self.touched:
            self.touch()
        denial = self.denials.get(cost)
        if denial is not None:
            if monotonic() < denial[0]:
                self.cached_denials += 1
                self.costs += cost - 1
                return denial[1]
            self.denials.pop(cost, None)
        if self.lease is not None:
            return self._spend_lease(cost)
        if self.fixed is not None:
            self.count(self.fixed)
        return self.fixed

    def _spend_lease(self, cost: int) -> Decision | None:
        with self.lock:
            lease = self.lease
            if lease is None or lease.left < cost or cost < 1 or monotonic() >= lease.until:
                return None
            lease.left -= cost
            left = lease.left
            self.leased_passes += 1
            self.costs += cost - 1
        return Decision(
            True, self.limit, lease.remaining + left, 0.0, lease.reset_at, "lease", self.policy
        )

    def touch(self) -> None:
        """Have this account looked at when the counts are reported."""
        self.touched = True
        self.waiting.append(self)

    def count(self, decided: Decision, cost: int = 1) -> None:
        """Count a decision that was not taken by `decide` alone."""
        self.costs += cost - 1
        if decided.source == "redis":
            if not decided.allowed:
                self.denied += 1
            elif decided.violated:
                self.shadowed += 1
            else:
                self.allowed += 1
            return
        outcome = "denied" if not decided.allowed else "shadow" if decided.violated else "allowed"
        if self.others is None:
            self.others = {}
        key = (outcome, decided.source)
        self.others[key] = self.others.get(key, 0) + 1

    def is_plain(self, cost: int, now: float) -> bool:
        """Say whether one and the same question asks for this: one token, and nothing about leases.

        A bucket that was asked for a moment ago is hot, and is asked to lend.
        """
        if cost != 1 or self.lease is not None or self.lapsed:
            return False
        if now - self.asked_at < LEASE_SECONDS and self.limit.can_lease:
            return False
        self.asked_at = now
        return True

    def ask(self, cost: int, now: float, slot: str = "") -> Ask:
        """Return what to ask Redis: for a hot bucket also to lend, and to take back."""
        limit = self.limit
        if not limit.can_lease:
            return Ask(self.key, limit, cost, self.policy, slot)
        lent, wanted = self.take_back(now), 0
        if now - self.asked_at < LEASE_SECONDS:
            wanted = self.wanted
        self.asked_at = now
        if lent is None:
            return Ask(self.key, limit, cost, self.policy, slot, wanted)
        return Ask(self.key, limit, cost, self.policy, slot, wanted, lent)

    def standing(self, cost: int) -> Decision | None:
        """Return what stands without spending: a remembered denial, or what needs no bucket."""
        if not self.touched:
            self.touch()
        denial = self.denials.get(cost)
        if denial is not None and monotonic() < denial[0]:
            self.cached_denials += 1
            self.costs += cost - 1
            return denial[1]
        if self.fixed is not None:
            self.count(self.fixed)
        return self.fixed

    def lapsed_lease(self, now: float) -> Lent | None:
        """Return a lease that has ended, to be given back."""
        with self.lock:
            if self.lease is not None and now >= self.lease.until:
                self.lapsed.append(self.lease)
                self.lease = None
            return self.lapsed.pop().lent() if self.lapsed else None

    def take_back(self, now: float) -> Lent | None:
        """Return a lease that has ended or is spent, to be given back; None where there is none."""
        with self.lock:
            lease = self.lease
            if lease is not None:
                # Spent early: more would have been of use. Ended with tokens left: less.
                if now < lease.until:
                    self.wanted = min(LARGEST_LEASE, self.wanted * 2)
                elif lease.left:
                    self.wanted = max(1, lease.tokens - lease.left)
                self.lease = None
                return lease.lent()
            return self.lapsed.pop().lent() if self.lapsed else None

    def hear(self, ask: Ask, told: Told, sent_at: float, deny_seconds: float) -> Decision:
        """Note what Redis said and return the decision."""
        decided = decision(ask, told, sent_at)
        if told.granted:
            with self.lock:
                if self.lease is not None:  # another thread asked too
                    self.lapsed.append(self.lease)
                self.lease = Lease(told, sent_at)
        elif told.violated and not told.violated & CONCURRENCY and deny_seconds > 0:
            self.remember(ask, told, decided, sent_at, deny_seconds)
        return decided

    def remember(
        self, ask: Ask, told: Told, decided: Decision, sent_at: float, deny_seconds: float
    ) -> None:
        """Let a denial stand until the tokens can be there, or for `deny_seconds`."""
        until = sent_at + min(told.wait / 1e6, deny_seconds)
        cached = Decision(
            **{name: getattr(decided, name) for name in Decision.__struct_fields__}
            | {"source": "deny-cache"}
        )
        if self.denials is _DENIED or len(self.denials) >= _MOST_COSTS:
            self.denials = {}
        self.denials[ask.cost] = (until, cached)

    def forget(self) -> None:
        """Drop what is remembered, as the bucket was changed from outside."""
        self.denials = _DENIED

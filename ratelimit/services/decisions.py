"""How each operation goes, step by step, without saying how the steps reach Redis.

Every operation is a generator: it yields what to ask (a script, its keys and arguments), is sent
the reply or is thrown RedisAway, and returns its result. The limiter drives it, blocking or from
asyncio, so that the two can never differ.
"""

import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple

from optimizer.control import ticker
from optimizer.control.redis import RedisAway
from ratelimit.engine import BadArgument, Decision, Verdict, buckets
from ratelimit.engine.accounts import Account
from ratelimit.engine.buckets import Ask, Told
from ratelimit.engine.shares import ALONE, Share, bucket_of
from ratelimit.live import ratelimit
from ratelimit.services.questions import (
    DECIDE,
    GIVE,
    RELEASE,
    Question,
    by_slot,
    fixed,
    plain_answer,
    plain_ask,
    slot_of,
)

MAX_ACCOUNTS = 10_000
MAX_CHARGES = 1000  # in one call
AWAY_RETRY_SECONDS = 1.0


class Charge(NamedTuple):
    """Who is charged how many tokens in which scope."""

    subject: str
    cost: int = 1
    scope: str = ""


class Decisions:
    """The operations, and what this process knows of buckets by itself."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str], Account] = {}
        self.waiting: deque[Account] = deque()  # whose counts are to be reported
        self.lending: deque[Account] = deque()  # who may hold tokens
        self.share: Share = ALONE

    def forget(self) -> None:
        """Drop all that this process knows, as after a fork."""
        for one in (self.accounts, self.waiting, self.lending):
            one.clear()
        self.share = ALONE

    # --- accounts -----------------------------------------------------------------------------

    def account(self, subject: str, scope: str) -> Account:
        """Return what is known of a bucket under the settings of now."""
        account = self.accounts.get((subject, scope))
        if account is None or account.settings is not ratelimit.current():
            account = self.open(subject, scope)
        return account

    def open(self, subject: str, scope: str) -> Account:
        """Begin to know a bucket. Raises BadArgument."""
        key = buckets.key_of(subject, scope)
        settings = ratelimit.current()
        rule = settings.rule(subject, scope)
        account = Account(
            subject,
            key,
            rule.tier.limit,
            self.waiting,
            settings=settings,
            scope=rule.scope,
            policy=rule.policy,
            fixed=fixed(settings, rule),
            until=rule.until,
            away=rule.tier.when_redis_is_away,
        )
        while len(self.accounts) >= MAX_ACCOUNTS:
            self.accounts.pop(next(iter(self.accounts), ("", "")), None)
        self.accounts[subject, scope] = account
        ticker.ensure()
        return account

    # --- one ----------------------------------------------------------------------------------

    def check(self, account: Account, cost: int) -> Generator[Question, Any, Decision]:
        buckets.check_cost(account.limit, cost)
        now = time.monotonic()
        ask = account.ask(cost, now, slot_of(account))
        keys, arguments = buckets.question(((ask,),), spend=True)
        try:
            reply = yield DECIDE, keys, arguments
        except RedisAway:
            return self.away(account, cost)
        return self._heard(account, ask, buckets.told(reply), now)

    def _heard(self, account: Account, ask: Ask, told: Told, sent_at: float) -> Decision:
        decided = account.hear(ask, told, sent_at, account.settings.deny_cache_seconds)
        if told.granted:
            self._watch(account)
        account.count(decided, ask.cost)
        return decided

    def _watch(self, account: Account) -> None:
        """Have its lease given back when it ends."""
        if not account.lends:
            account.lends = True
            self.lending.append(account)

    # --- many, each for itself ----------------------------------------------------------------

    def check_many(
        self, charges: Iterable[Sequence[Any]]
    ) -> Generator[Question, Any, list[Decision]]:
        opened = self._opened(charges)  # all of them first: a bad one must not cost the others
        decided = [account.decide(cost) for account, cost in opened]
        missing = [at for at, one in enumerate(decided) if one is None]
        for places in by_slot(missing, [account for account, _ in opened]):
            now = time.monotonic()
            asks, plain = [], True
            for at in places:
                account, cost = opened[at]
                if account.is_plain(cost, now) and account.limit.is_timeless:
                    asks.append(plain_ask(account))
                else:
                    asks.append(account.ask(cost, now, slot_of(account)))
                    plain = False
            if plain:
                keys, arguments = buckets.plain_question(asks)
            else:
                keys, arguments = buckets.question([(ask,) for ask in asks], spend=True)
            try:
                reply = yield DECIDE, keys, arguments
            except RedisAway:
                for at in places:
                    decided[at] = self.away(*opened[at])
                continue
            for at, ask, told in zip(places, asks, buckets.numbers(reply), strict=True):
                account = opened[at][0]
                # The one that goes with every plain question; else it may be leased or held.
                if ask is account.same:
                    decided[at] = plain_answer(account, told, now)
                else:
                    decided[at] = self._heard(account, ask, Told._make(told), now)
        return [one for one in decided if one is not None]

    def _opened(self, charges: Iterable[Sequence[Any]]) -> list[tuple[Account, int]]:
        settings, accounts = ratelimit.current(), self.accounts
        opened = []
        for charge in charges:
            subject, cost, scope = charge if len(charge) == 3 else Charge(*charge)
            account = accounts.get((subject, scope))
            if account is None or account.settings is not settings:
                account = self.open(subject, scope)
            if cost != 1:  # which any bucket holds
                buckets.check_cost(account.limit, cost)
            opened.append((account, cost))
            if len(opened) > MAX_CHARGES:
                raise BadArgument("charges", f"must be up to {MAX_CHARGES} in one call")
        return opened

    # --- several, together or not at all ------------------------------------------------------

    def check_all(self, charges: Iterable[Sequence[Any]]) -> Generator[Question, Any, Verdict]:
        opened = self._opened(charges)
        if len({account.key for account, _ in opened}) < len(opened):
            raise BadArgument("charges", "must not name a subject twice in one scope")
        decided: list[Decision | None] = []
        for account, cost in opened:
            decided.append(account.standing(cost))
        refused = [one for one in decided if one is not None and not one.allowed]
        if refused:
            return Verdict(False, tuple(refused))
        missing = [at for at, one in enumerate(decided) if one is None]
        accounts = [account for account, _ in opened]
        spent: list[tuple[Account, Ask]] = []
        for places in by_slot(missing, accounts):
            now = time.monotonic()
            asks = tuple(
                accounts[at].ask(opened[at][1], now, slot_of(accounts[at])) for at in places
            )
            try:
                keys, arguments = buckets.question((asks,), spend=True)
                reply = yield DECIDE, keys, arguments
            except RedisAway:
                verdict = self._all_away([opened[at] for at in places])
            else:
                (told,) = buckets.answers((asks,), reply)
                verdict = buckets.verdict(asks, told, now)
                for at, ask, one in zip(places, asks, told, strict=True):
                    accounts[at].hear(ask, one, now, accounts[at].settings.deny_cache_seconds)
                    if one.granted:
                        self._watch(accounts[at])
            for at, one_decided in zip(places, verdict.decisions, strict=False):
                decided[at] = one_decided
                accounts[at].count(one_decided, opened[at][1])
            if not verdict:
                yield from self._undo(spent)
                break
            spent += [(accounts[at], ask) for at, ask in zip(places, asks, strict=True)]
        told_all = tuple(one for one in decided if one is not None)
        return Verdict(all(told_all), told_all)

    def _undo(self, spent: list[tuple[Account, Ask]]) -> Generator[Question, Any, None]:
        """Give back what was spent in other slots of a cluster, where no script sees them all."""
        for account, ask in spent:
            try:
                yield from self.give(account, ask.cost, "refund")
                if ask.slot:
                    yield from self.release(account, ask.slot)
            except RedisAway:
                continue

    # --- Redis away ---------------------------------------------------------------------------

    def away(self, account: Account, cost: int) -> Decision:
        """Decide and count without Redis, as the tier says."""
        decided = self._decide_away(account, cost)
        account.count(decided, cost)
        return decided

    def _decide_away(self, account: Account, cost: int) -> Decision:
        limit, now = account.limit, time.monotonic()
        wait, allowed, source, remaining = AWAY_RETRY_SECONDS, account.away == "open", "", 0
        if account.away == "local":
            source = "local"
            with account.lock:
                now_us = int(now * 1e6)
                if account.fallback is None or account.fallback[0] != self.share:
                    before = account.fallback
                    bucket = bucket_of(limit, self.share, now_us)
                    if before is not None and before[1] is not None and bucket is not None:
                        bucket.keep_at_most(before[1])
                    account.fallback = (self.share, bucket)
                bucket = account.fallback[1]
                if bucket is not None:
                    wait = bucket.spend(cost, now_us) / 1e6
                    allowed, remaining = wait == 0, bucket.remaining
        violated = 0 if allowed else 1
        return Decision(
            allowed=allowed or limit.shadow,
            limit=limit,
            remaining=remaining,
            retry_at=0.0 if allowed or limit.shadow else now + wait,
            reset_at=now + wait,
            source=source or "redis-away",
            policy=account.policy,
            violated=violated,
        )

    def _all_away(self, opened: list[tuple[Account, int]]) -> Verdict:
        decided = []
        for at, (account, cost) in enumerate(opened):
            decided.append(self._decide_away(account, cost))
            if not decided[-1]:
                for spent, tokens in opened[:at]:
                    if spent.fallback is not None and spent.fallback[1] is not None:
                        spent.fallback[1].refund(tokens)
                return Verdict(False, (decided[-1],))
        return Verdict(True, tuple(decided))

    # --- look and give ------------------------------------------------------------------------

    def peek(self, account: Account, cost: int) -> Generator[Question, Any, Decision]:
        buckets.check_cost(account.limit, cost)
        ask = Ask(account.key, account.limit, cost, account.policy)
        sent_at = time.monotonic()
        keys, arguments = buckets.question(((ask,),), spend=False)
        reply = yield DECIDE, keys, arguments
        return buckets.decision(ask, buckets.told(reply), sent_at)

    def reset(self, account: Account) -> Generator[Question, Any, None]:
        yield GIVE, (account.key,), (b"", 0, "reset")
        self.accounts.pop((account.subject, account.scope), None)
        account.forget()

    def give(self, account: Account, tokens: int, how: str) -> Generator[Question, Any, int]:
        if not 1 <= tokens <= 1_000_000:
            raise BadArgument("tokens", "must be between 1 and 1000000")
        left = yield GIVE, (account.key,), (account.limit.packed(), tokens, how)
        account.forget()
        return int(left)

    def release(self, account: Account, slot: str) -> Generator[Question, Any, bool]:
        removed = yield RELEASE, (buckets.slots_key(account.key),), (slot,)
        account.forget()
        return bool(removed)

    def give_back(self, account: Account) -> Generator[Question, Any, None]:
        """Give back the leases that have ended."""
        while (lent := account.lapsed_lease(time.monotonic())) is not None:
            arguments = (account.limit.packed(), lent.unspent, "return", lent.tokens, lent.window)
            yield GIVE, (account.key,), arguments

"""The limiter in process: what the API, the decorators and bot code inside Django call."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from optimizer.control.redis import RedisAway, send
from ratelimit.engine import Decision, Verdict
from ratelimit.engine.buckets import one_told
from ratelimit.live import ratelimit
from ratelimit.services.decisions import Decisions
from ratelimit.services.questions import Question, plain_answer, plain_question
from ratelimit.services.turns import Turns

T = TypeVar("T")
Steps = Generator[Question, Any, T]
Charges = Iterable[Sequence[Any]]  # Charge, or a tuple of its fields
_current = ratelimit.current


def _run(steps: Steps[T]) -> T:
    """Go through an operation, waiting for Redis at each step."""
    try:
        script, keys, arguments = next(steps)
        while True:
            try:
                reply = script.run(keys, *arguments)
            except RedisAway as error:
                script, keys, arguments = steps.throw(error)
            else:
                script, keys, arguments = steps.send(reply)
    except StopIteration as done:
        result: T = done.value
        return result


async def _arun(steps: Steps[T]) -> T:
    """Go through an operation from asyncio."""
    try:
        script, keys, arguments = next(steps)
        while True:
            try:
                reply = await script.arun(keys, *arguments)
            except RedisAway as error:
                script, keys, arguments = steps.throw(error)
            else:
                script, keys, arguments = steps.send(reply)
    except StopIteration as done:
        result: T = done.value
        return result


class Limiter:
    """Decide by the live tiers. Threads and tasks share it.

    `scope` names a kind of call with buckets of its own. Every call raises BadArgument when the
    subject does not have 1 to 256 characters, the cost is not between 1 and the tier's capacity, or
    no admin has made the scope. Checks never raise RedisAway: the tier says what they answer then;
    all others do.
    """

    def __init__(self) -> None:
        self.decisions = Decisions()
        self._accounts = self.decisions.accounts
        self._turns = Turns()

    def check(self, subject: str, cost: int = 1, scope: str = "") -> Decision:
        """Spend `cost` tokens of the subject's bucket if they are there."""
        account = self._accounts.get((subject, scope))
        if account is None or account.settings is not _current():
            account = self.decisions.open(subject, scope)
        decided = account.decide(cost)
        if decided is not None:
            return decided
        now = monotonic()
        if not account.is_plain(cost, now) or (question := plain_question(account)) is None:
            return _run(self.decisions.check(account, cost))
        try:
            reply = send(question)
        except RedisAway:
            return self.decisions.away(account, cost)
        except NoScriptError:  # Redis was restarted: the long way loads the script again
            return _run(self.decisions.check(account, cost))
        return plain_answer(account, one_told(reply), now)

    async def acheck(self, subject: str, cost: int = 1, scope: str = "") -> Decision:
        """Spend from asyncio; see `check`."""
        account = self._accounts.get((subject, scope))
        if account is None or account.settings is not _current():
            account = self.decisions.open(subject, scope)
        decided = account.decide(cost)
        if decided is not None:
            return decided
        now = monotonic()
        if not account.is_plain(cost, now) or plain_question(account) is None:
            return await _arun(self.decisions.check(account, cost))
        try:
            answer = await self._turns.ask(account)
        except RedisAway:
            return self.decisions.away(account, cost)
        except NoScriptError:
            return await _arun(self.decisions.check(account, cost))
        return plain_answer(account, answer, now)

    def check_many(self, charges: Charges) -> list[Decision]:
        """Decide up to 1000 charges, each for itself, in one trip to Redis at most."""
        return _run(self.decisions.check_many(charges))

    async def acheck_many(self, charges: Charges) -> list[Decision]:
        """Decide many from asyncio; see `check_many`."""
        return await _arun(self.decisions.check_many(charges))

    def check_all(self, charges: Charges) -> Verdict:
        """Spend all charges (user, guild, command and global, say), or none where one is missing.

        One script decides. On Redis Cluster charges of several slots are spent one after the other,
        and given back when a later one is refused.
        """
        return _run(self.decisions.check_all(charges))

    async def acheck_all(self, charges: Charges) -> Verdict:
        """Spend together from asyncio; see `check_all`."""
        return await _arun(self.decisions.check_all(charges))

    def peek(self, subject: str, cost: int = 1, scope: str = "") -> Decision:
        """Say what Redis would answer to a check, and spend nothing. Raises RedisAway."""
        return _run(self.decisions.peek(self.decisions.account(subject, scope), cost))

    async def apeek(self, subject: str, cost: int = 1, scope: str = "") -> Decision:
        """Look from asyncio; see `peek`."""
        return await _arun(self.decisions.peek(self.decisions.account(subject, scope), cost))

    def reset(self, subject: str, scope: str = "") -> None:
        """Fill the subject's bucket and begin its quota anew. Raises RedisAway.

        Other processes that have just refused it may go on for `deny_cache_seconds`.
        """
        _run(self.decisions.reset(self.decisions.account(subject, scope)))

    def refund(self, subject: str, tokens: int = 1, scope: str = "") -> int:
        """Put back tokens that were spent in vain; return how many are there. Raises RedisAway."""
        account = self.decisions.account(subject, scope)
        return _run(self.decisions.give(account, tokens, "refund"))

    async def arefund(self, subject: str, tokens: int = 1, scope: str = "") -> int:
        """Put back from asyncio; see `refund`."""
        account = self.decisions.account(subject, scope)
        return await _arun(self.decisions.give(account, tokens, "refund"))

    def grant(self, subject: str, tokens: int, scope: str = "") -> int:
        """Give tokens, even beyond the capacity; return how many are there. Raises RedisAway.

        What is beyond the capacity is kept for a day after the last call.
        """
        account = self.decisions.account(subject, scope)
        return _run(self.decisions.give(account, tokens, "grant"))

    def release(self, subject: str, slot: str, scope: str = "") -> bool:
        """End a call of a tier that limits calls at once; say if it was on. Raises RedisAway."""
        return _run(self.decisions.release(self.decisions.account(subject, scope), slot))

    async def arelease(self, subject: str, slot: str, scope: str = "") -> bool:
        """End a call from asyncio; see `release`."""
        return await _arun(self.decisions.release(self.decisions.account(subject, scope), slot))

    @contextmanager
    def hold(self, subject: str, cost: int = 1, scope: str = "") -> Iterator[Decision]:
        """Check, and end the call with the block: for tiers that limit calls at once."""
        decided = self.check(subject, cost, scope)
        try:
            yield decided
        finally:
            if decided.slot:
                with suppress(RedisAway):  # the slot expires by itself
                    self.release(subject, decided.slot, scope)

    def forget(self) -> None:
        """Drop all that this process knows by itself, as after a fork."""
        self.decisions.forget()
        self._turns.forget()

    def give_back_leases(self) -> None:
        """Give back what this process holds of leases that have ended."""
        lending = self.decisions.lending
        for _ in range(len(lending)):
            account = lending.popleft()
            with suppress(RedisAway):  # what is not given back is lost, never spent twice
                _run(self.decisions.give_back(account))
            if account.lease is not None:
                lending.append(account)
            else:
                account.lends = False


limiter = Limiter()
os.register_at_fork(after_in_child=limiter.forget)

"""Buckets in Redis: what is asked of the scripts, and what their replies mean.

Source of the algorithm: J. Turner, "New Directions in Communications", IEEE Communications
Magazine 1986. A bucket holds `capacity` tokens and gains `refill_tokens` each period; a call
spends its cost or is denied, and a denial says exactly when it would pass.

Nothing here waits: keys and arguments go out, a reply comes in, so that blocking code and asyncio
share it.
"""

import hashlib
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ratelimit.engine.limit import (
    MAX_SUBJECT_LENGTH,
    MICRO,
    BadArgument,
    Decision,
    Limit,
    Verdict,
)

_HERE = Path(__file__).parent
_STATE = (_HERE / "state.lua").read_text(encoding="utf-8")
DECIDE = _STATE + (_HERE / "decide.lua").read_text(encoding="utf-8")
GIVE = _STATE + (_HERE / "give.lua").read_text(encoding="utf-8")

_REQUEST = struct.Struct(">8d")
_NUMBERS = struct.Struct(">9q")  # in the reply, for each limit


class Lent(NamedTuple):
    """A lease that is given back: of `tokens`, `unspent` were not spent; `window` is Redis's."""

    unspent: int
    tokens: int
    window: int


_NOTHING_LENT = Lent(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Ask:
    """One limit in a check: the key of its bucket, and what is asked of it."""

    key: bytes
    limit: Limit
    cost: int = 1
    policy: str = ""
    slot: str = ""
    wanted: int = 0
    lent: Lent = _NOTHING_LENT

    @property
    def is_plain(self) -> bool:
        """Whether nothing but tokens is asked for."""
        return not (self.wanted or self.lent.tokens or self.limit.concurrency)


class Told(NamedTuple):
    """One limit's answer as Redis gave it; times in microseconds."""

    violated: int
    remaining: int
    wait: int
    full: int
    granted: int
    window: int
    leased: int
    quota_remaining: int
    slots_remaining: int


def key_of(subject: str, scope: str = "", *, prefix: str = "tuneup:ratelimit") -> bytes:
    """Return the key of a bucket; the braces keep one subject's keys in one cluster slot.

    Raises BadArgument when the subject is empty or longer than 256 characters.
    """
    if not 1 <= len(subject) <= MAX_SUBJECT_LENGTH:
        raise BadArgument("subject", f"must have 1 to {MAX_SUBJECT_LENGTH} characters")
    # A brace inside the subject would move the hash tag.
    if "{" in subject or "}" in subject:
        subject = "#" + hashlib.sha256(subject.encode()).hexdigest()
    return f"{prefix}:{{{subject}}}{scope and ':' + scope}".encode()


def slots_key(key: bytes) -> bytes:
    """Return the key of the calls that are going on."""
    return key + b"/slots"


def check_cost(limit: Limit, cost: int) -> None:
    """Raise BadArgument when the cost could never be spent."""
    if not isinstance(cost, int) or not 1 <= cost <= limit.capacity:
        allowed = f"must be between 1 and {limit.capacity}, the capacity of tier {limit.name}"
        raise BadArgument("cost", allowed)


def question(
    groups: Sequence[Sequence[Ask]], *, spend: bool
) -> tuple[tuple[bytes, ...], list[bytes | str]]:
    """Return the keys and arguments that ask about groups of limits."""
    if spend and all(len(group) == 1 and group[0].is_plain for group in groups):
        return plain_question([ask for (ask,) in groups])
    keys: list[bytes] = []
    requests: list[bytes] = []
    arguments: list[bytes | str] = [b"s" if spend else b"p", b""]
    places: dict[bytes, int] = {}  # of policies among the arguments
    for number, group in enumerate(groups, 1):
        for ask in group:
            keys.append(ask.key)
            place = _place(ask.limit, places, arguments)
            slot = 0
            if ask.limit.concurrency:
                keys.append(slots_key(ask.key))
                arguments.append(ask.slot)
                slot = len(arguments)
            requests.append(_REQUEST.pack(place, ask.cost, number, ask.wanted, *ask.lent, slot))
    arguments[1] = b"".join(requests)
    return tuple(keys), arguments


def plain_question(asks: Sequence[Ask]) -> tuple[tuple[bytes, ...], list[bytes | str]]:
    """Return the same for limits that are each alone and plain."""
    arguments: list[bytes | str] = [b"e", b""]
    places: dict[bytes, int] = {}
    requests: list[bytes] = []
    limit, cost, request = None, 0, b""
    for ask in asks:
        if ask.limit is not limit or ask.cost != cost:
            limit, cost = ask.limit, ask.cost
            request = struct.pack(">2d", _place(limit, places, arguments), cost)
        requests.append(request)
    arguments[1] = b"".join(requests)
    return tuple([ask.key for ask in asks]), arguments


def _place(limit: Limit, places: dict[bytes, int], arguments: list[bytes | str]) -> int:
    """Return which argument the policy is, counted from 1 as Lua does; each is sent once."""
    policy = limit.packed()
    place = places.get(policy)
    if place is None:
        arguments.append(policy)
        place = places[policy] = len(arguments)
    return place


def told(reply: bytes) -> Told:
    """Return what the one limit was told."""
    return Told._make(_NUMBERS.unpack(reply))


# The numbers of the only limit, as they came.
one_told = _NUMBERS.unpack


def numbers(reply: bytes) -> Iterator[tuple[int, ...]]:
    """Return the numbers of each limit, in the order of the keys."""
    return _NUMBERS.iter_unpack(reply)


def answers(groups: Sequence[Sequence[Ask]], reply: bytes) -> list[list[Told]]:
    """Return what each limit of each group was told."""
    each = map(Told._make, numbers(reply))
    return [[next(each) for _ in group] for group in groups]


def decision(ask: Ask, answer: Told, sent_at: float, *, group_denied: bool = False) -> Decision:
    """Return the decision on one limit; `sent_at` is monotonic, when it was asked."""
    violated, remaining, wait, full, granted, _, leased, quota, slots = answer
    limit = ask.limit
    denied = violated != 0 and not limit.shadow
    allowed = not denied and not group_denied
    return Decision(
        allowed,
        limit,
        remaining + granted if remaining > 0 else granted,
        sent_at + wait / MICRO if denied else 0.0,
        sent_at + full / MICRO,
        "redis",
        ask.policy or limit.name,
        violated,
        wait / MICRO if allowed and wait and not violated else 0.0,
        leased - granted,  # by others
        quota,
        slots,
        ask.slot if allowed and limit.concurrency else "",
    )


def verdict(group: Sequence[Ask], told_each: Sequence[Told], sent_at: float) -> Verdict:
    """Return the verdict on a group: denied where any limit that is no shadow is violated."""
    denied = any(
        one.violated and not ask.limit.shadow for ask, one in zip(group, told_each, strict=True)
    )
    return Verdict(
        not denied,
        tuple(
            decision(ask, one, sent_at, group_denied=denied)
            for ask, one in zip(group, told_each, strict=True)
        ),
    )


class Buckets:
    """Buckets behind a script runner: what tests, self-checks and benchmarks use directly."""

    def __init__(self, decide: Any, give: Any, *, prefix: str = "tuneup:ratelimit") -> None:
        self._decide, self._give, self._prefix = decide, give, prefix

    def key(self, subject: str) -> bytes:
        return key_of(subject, prefix=self._prefix)

    def check(self, subject: str, limit: Limit, cost: int = 1, slot: str = "") -> Decision:
        """Spend `cost` tokens (1 to the capacity) if they are there."""
        return self._ask(subject, limit, cost, slot, spend=True)

    def peek(self, subject: str, limit: Limit, cost: int = 1) -> Decision:
        """Say what `check` would, and spend nothing."""
        return self._ask(subject, limit, cost, "", spend=False)

    def _ask(self, subject: str, limit: Limit, cost: int, slot: str, *, spend: bool) -> Decision:
        check_cost(limit, cost)
        groups = [[Ask(self.key(subject), limit, cost, slot=slot)]]
        sent_at = time.monotonic()
        keys, arguments = question(groups, spend=spend)
        return decision(groups[0][0], told(self._decide.run(keys, *arguments)), sent_at)

    def reset(self, subject: str) -> None:
        """Fill the bucket."""
        self._give.run((self.key(subject),), b"", 0, "reset")

    def give(self, subject: str, limit: Limit, tokens: int, how: str) -> int:
        """Put tokens in: "refund" or "grant"; return how many are there."""
        return int(self._give.run((self.key(subject),), limit.packed(), tokens, how))

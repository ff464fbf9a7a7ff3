"""What is asked of Redis for a bucket, and what needs no asking."""

import secrets
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot

from optimizer.control.redis import has_wire, is_cluster
from optimizer.control.scripts import Script
from ratelimit.engine import Decision, buckets
from ratelimit.engine.accounts import Account
from ratelimit.engine.buckets import Ask, Told
from ratelimit.live import Ratelimit, Rule
from ratelimit.models import Access

Question = tuple[Script, tuple[bytes, ...], Sequence[Any]]
DECIDE, GIVE = Script(buckets.DECIDE), Script(buckets.GIVE)
RELEASE = Script("return redis.call('ZREM', KEYS[1], ARGV[1])")


def plain_question(account: Account) -> bytes | None:
    """Return what asks for one token, packed once; None where each question is another."""
    if account.plain is None:
        if not account.limit.is_timeless or not has_wire():
            return None
        keys, arguments = buckets.plain_question((plain_ask(account),))
        account.plain = DECIDE.packed(keys, *arguments)
    return account.plain


def plain_ask(account: Account) -> Ask:
    """Return what asks for one token; the same object again."""
    if account.same is None:
        account.same = Ask(account.key, account.limit, 1, account.policy)
    return account.same


def plain_answer(account: Account, told: tuple[int, ...], sent_at: float) -> Decision:
    """Return the decision on one limit that was asked for nothing but tokens."""
    violated, remaining, wait, full, _, _, leased, quota, slots = told
    limit = account.limit
    if violated or wait:
        ask = plain_ask(account)
        decided = account.hear(ask, Told._make(told), sent_at, account.settings.deny_cache_seconds)
        account.count(decided)
        return decided
    account.allowed += 1
    reset_at = sent_at + full / 1e6
    policy = account.policy
    return Decision(
        True, limit, remaining, 0.0, reset_at, "redis", policy, 0, 0.0, leased, quota, slots
    )


def slot_of(account: Account) -> str:
    return secrets.token_hex(8) if account.limit.concurrency else ""


def by_slot(places: list[int], accounts: list[Account]) -> list[list[int]]:
    """Part what is asked by Redis Cluster's slots; elsewhere one script sees all."""
    if not places or not is_cluster():
        return [places] if places else []
    parts: dict[int, list[int]] = {}
    for at in places:
        parts.setdefault(key_slot(accounts[at].key), []).append(at)
    return list(parts.values())


def fixed(settings: Ratelimit, rule: Rule) -> Decision | None:
    """Return the decision that needs no bucket: the kill switch, and the two lists."""
    limit = rule.tier.limit
    if not settings.enabled:
        return Decision(True, limit, limit.capacity, source="disabled", policy=rule.policy)
    if rule.access == Access.LIMIT.value:
        return None
    allowed = rule.access == Access.ALLOW.value
    remaining = limit.capacity if allowed else 0
    return Decision(allowed, limit, remaining, source="list", policy=rule.policy)

"""What the dashboard, the status page and the API tell of the rate limiter."""

import time
from dataclasses import dataclass
from typing import Any

import redis

from optimizer.control.redis import breaker, call
from ratelimit.engine import Decision
from ratelimit.engine.buckets import Ask, answers, decision, key_of, question
from ratelimit.live import Rule, ratelimit
from ratelimit.services.limiter import limiter
from ratelimit.services.questions import DECIDE
from ratelimit.services.reporter import TOP_SECONDS, series, top_key

OUTCOMES = ("allowed", "denied", "shadow")


def status() -> dict[str, Any]:
    """Return the limiter's state in this process, from memory alone."""
    settings = ratelimit.current()
    policies = {one.when_redis_is_away for one in settings.tiers.values()}
    share = limiter.decisions.share
    return {
        "enabled": settings.enabled,
        "default_tier": settings.default_tier.limit.name,
        "tiers": len(settings.tiers),
        "scopes": len(settings.scopes) + len(settings.scope_prefixes),
        "subjects": len(settings.subjects) + len(settings.patterns),
        "circuit_breaker": breaker.state,
        "while_redis_is_away": ", ".join(sorted(policies)) or "open",
        "share_of_the_buckets_then": f"1/{share.of}",
        "buckets_remembered": len(limiter.decisions.accounts),
    }


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a subject, and what it holds; `leased` tokens are held by processes."""

    scope: str
    rule: Rule
    decision: Decision

    @property
    def tokens(self) -> int:
        return self.decision.remaining + self.decision.leased

    @property
    def filled_percent(self) -> int:
        return min(100, round(100 * self.tokens / self.decision.limit.capacity))


def buckets(subject: str, scope: str = "") -> list[Bucket]:
    """Return a subject's buckets in all scopes but patterns, and in `scope`, which may fit one.

    Raises RedisAway, BadArgument.
    """
    settings = ratelimit.current()
    scopes = ["", *sorted({*settings.scopes, *filter(None, [scope])})]
    rules = [settings.rule(subject, one) for one in scopes]
    asks = [
        Ask(key_of(subject, one), rule.tier.limit, policy=rule.policy)
        for one, rule in zip(scopes, rules, strict=True)
    ]
    sent_at = time.monotonic()
    groups = [(ask,) for ask in asks]
    keys, arguments = question(groups, spend=False)
    told = answers(groups, DECIDE.run(keys, *arguments))
    return [
        Bucket(name, rule, decision(ask, one, sent_at))
        for name, rule, ask, (one,) in zip(scopes, rules, asks, told, strict=True)
    ]


def top(count: int = 20) -> list[tuple[str, int]]:
    """Return who made the most calls in about the last hour, with their number. Raises RedisAway.

    Of each five minutes the 1000 largest are counted, so it is exact for whoever matters.
    """
    now = time.time()

    def read(r: redis.Redis) -> list[Any]:
        pipe = r.pipeline(transaction=False)
        for back in range(3600 // TOP_SECONDS + 1):
            pipe.zrange(top_key(now - back * TOP_SECONDS), 0, -1, withscores=True)
        return pipe.execute()

    totals: dict[str, int] = {}
    for window in call(read):
        for member, calls in window:
            name = member.decode(errors="replace")
            totals[name] = totals.get(name, 0) + int(calls)
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:count]


def rates(seconds: int = 3600) -> tuple[list[int], dict[tuple[str, str, str], list[int]]]:
    """Return the starts of ten-second slots, and the counts by outcome, tier and scope.

    Raises RedisAway.
    """
    slots, counts = series.read(seconds)
    named: dict[tuple[str, str, str], list[int]] = {}
    for name, values in counts.items():
        outcome, tier, scope = name.split("|", 2)
        named[outcome, tier, scope] = values
    return slots, named

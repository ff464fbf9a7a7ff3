"""Decisions as JSON documents, the same on every door."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ratelimit.engine import Decision, Verdict

AWAY = ("redis-away", "local")


class Answer(msgspec.Struct, frozen=True):
    """One decision, as programs read it."""

    allowed: bool
    tier: str
    policy: str
    limit: int
    remaining: int
    retry_after_seconds: float
    reset_after_seconds: float
    delay_seconds: float
    near_limit: bool
    shadow: bool
    quota_remaining: int | None
    slots_remaining: int | None
    slot: str
    source: str


def answer(decided: Decision) -> Answer:
    """Return a decision as a document."""
    limit, allowed = decided.limit, decided.allowed
    return Answer(  # by position: it is built for every call
        allowed,
        limit.name,
        decided.policy,
        limit.capacity,
        decided.remaining,
        0.0 if allowed else round(decided.retry_after_seconds, 6),
        round(decided.reset_after_seconds, 6),
        decided.delay_seconds,
        decided.near_limit,
        allowed and decided.violated != 0,
        decided.quota_remaining if decided.quota_remaining >= 0 else None,
        decided.slots_remaining if decided.slots_remaining >= 0 else None,
        decided.slot,
        decided.source,
    )


def refusal(decisions: Sequence[Decision]) -> tuple[int, str, str, list[str]]:
    """Return the status, title, problem type and violated policies of a denial."""
    violated = [name for one in decisions if not one.allowed for name in one.violated_policies]
    denied = [one for one in decisions if not one.allowed]
    names = violated or [one.policy for one in denied]
    if any(one.source == "redis-away" for one in denied):
        return 503, "The limiter cannot decide now", "temporary-reduced-capacity", names
    if any(one.source == "list" for one in denied):
        return 429, "The subject is on the deny list", "abnormal-usage-detected", names
    return 429, "The limit is reached", "quota-exceeded", names


def together(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as a document."""
    return {
        "allowed": verdict.allowed,
        "retry_after_seconds": round(verdict.retry_after_seconds, 6),
        "delay_seconds": verdict.delay_seconds,
        "decisions": [msgspec.structs.asdict(answer(one)) for one in verdict.decisions],
    }

"""The rate limiter's live settings: who has which bucket in which scope."""

import fnmatch
import re
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Max
from django.utils import timezone

from optimizer.control.live import LiveSettings
from optimizer.control.models import Revision
from ratelimit.engine import BadArgument, Limit
from ratelimit.models import (
    MAX_SCOPE_LENGTH,
    SCOPE_HINT,
    Access,
    RatelimitSettings,
    Scope,
    ScopeRule,
    Subject,
    SubjectPattern,
    Tier,
    is_scope_name,
)


class LiveTier(msgspec.Struct, frozen=True):
    """A tier as a decision needs it."""

    limit: Limit
    when_redis_is_away: str = "open"


class Assigned(msgspec.Struct, frozen=True):
    """What a subject was given."""

    tier: LiveTier | None
    access: str = Access.LIMIT.value
    expires_at: datetime | None = None

    def counts(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


class LiveScope(msgspec.Struct, frozen=True):
    """A scope: the tier of everybody, and of who is of a certain tier."""

    name: str
    tier: LiveTier | None = None
    rules: dict[str, LiveTier] = {}


class Rule(msgspec.Struct, frozen=True):
    """What governs one subject in one scope, until `until` (seconds since the epoch, 0: always)."""

    tier: LiveTier
    policy: str
    scope: str
    access: str
    until: float


class UnknownScope(BadArgument):
    """A scope that no admin has made."""

    def __init__(self, allowed: str) -> None:
        super().__init__("scope", allowed)


DEFAULT_TIER = LiveTier(Limit("default", 20, 1, 1))


class Ratelimit(msgspec.Struct, frozen=True):
    """The frozen settings."""

    enabled: bool = True
    deny_cache_seconds: float = 0.1
    sample_subjects: int = 500
    default_tier: LiveTier = DEFAULT_TIER
    tiers: dict[str, LiveTier] = {}
    subjects: dict[str, Assigned] = {}
    patterns: tuple[tuple[re.Pattern[str], Assigned], ...] = ()
    scopes: dict[str, LiveScope] = {}
    scope_prefixes: tuple[tuple[str, LiveScope], ...] = ()

    def tier_of(self, subject: str) -> LiveTier:
        return self._assigned(subject, timezone.now())[0].tier or self.default_tier

    def rule(self, subject: str, scope: str = "") -> Rule:
        """Return what governs the subject in the scope. Raises UnknownScope."""
        now = timezone.now()
        assigned, until = self._assigned(subject, now)
        tier, label = assigned.tier or self.default_tier, ""
        policy = tier.limit.name
        if scope:
            found = self.scope(scope)
            tier = found.rules.get(tier.limit.name) or found.tier or tier
            label, policy = found.name, f"{scope}/{tier.limit.name}"
        return Rule(tier, policy, label, assigned.access, until)

    def scope(self, name: str) -> LiveScope:
        """Return a scope by its name, or by the longest prefix that fits. Raises UnknownScope."""
        found = self.scopes.get(name)
        if found is not None:
            return found
        if len(name) > MAX_SCOPE_LENGTH or not is_scope_name(name):
            raise UnknownScope(f"must be up to {MAX_SCOPE_LENGTH} {SCOPE_HINT}")
        for prefix, found in self.scope_prefixes:
            if name.startswith(prefix):
                return found
        known = ", ".join([*self.scopes, *(f"{one}*" for one, _ in self.scope_prefixes)])
        raise UnknownScope(f"must be one of those an admin has made: {known or 'none yet'}")

    def _assigned(self, subject: str, now: datetime) -> tuple[Assigned, float]:
        """Return what counts now, and when that may change because a row expires."""
        until = 0.0
        for found in self._candidates(subject):
            if found.counts(now):
                ends = found.expires_at.timestamp() if found.expires_at else 0.0
                return found, min(filter(None, (until, ends)), default=0.0)
        return Assigned(None), until

    def _candidates(self, subject: str) -> list[Assigned]:
        own = self.subjects.get(subject)
        return [
            *([own] if own else []),
            *(one for pattern, one in self.patterns if pattern.match(subject)),
        ]


def load() -> Ratelimit:
    """Read the rows."""
    # Read first: numbers newer than their version do no harm, older ones with a newer one would.
    version = _version()
    settings = RatelimitSettings.load()
    tiers = {tier.pk: _live(tier, version) for tier in Tier.objects.all()}

    def assigned(row: Any) -> Assigned:
        return Assigned(tiers.get(row.tier_id), row.access, row.expires_at)

    rules: dict[int, dict[str, LiveTier]] = {}
    for rule in ScopeRule.objects.all():
        of = tiers[rule.subject_tier_id].limit.name
        rules.setdefault(rule.scope_id, {})[of] = tiers[rule.tier_id]
    scopes = [
        LiveScope(one.name, tiers.get(one.tier_id or 0), rules.get(one.pk, {}))
        for one in Scope.objects.all()
    ]
    prefixes = [(one.name[:-1], one) for one in scopes if one.name.endswith("*")]
    return Ratelimit(
        enabled=settings.enabled,
        deny_cache_seconds=settings.deny_cache_seconds,
        sample_subjects=settings.sample_subjects,
        default_tier=tiers.get(settings.default_tier_id or 0, DEFAULT_TIER),
        tiers={tier.limit.name: tier for tier in tiers.values()},
        subjects={row.identifier: assigned(row) for row in Subject.objects.iterator()},
        patterns=tuple(
            (re.compile(fnmatch.translate(row.pattern.replace("[", "[[]"))), assigned(row))
            for row in SubjectPattern.objects.all()
        ),
        scopes={one.name: one for one in scopes if not one.name.endswith("*")},
        scope_prefixes=tuple(sorted(prefixes, key=lambda item: -len(item[0]))),
    )


def _version() -> int:
    """Return the time of the newest change; its number would go back with a restored backup."""
    newest = Revision.objects.filter(component="ratelimit").aggregate(at=Max("created_at"))["at"]
    return int(newest.timestamp() * 1_000_000) if newest else 0


def _live(tier: Tier, version: int = 0) -> LiveTier:
    return LiveTier(limit_of(tier, version), tier.when_redis_is_away)


def limit_of(tier: Tier, version: int = 0) -> Limit:
    """Return a row's numbers as the engine takes them."""
    return Limit(
        tier.name,
        tier.capacity,
        tier.refill_tokens,
        tier.refill_period_seconds,
        version=version,
        on_change=tier.on_change,
        shadow=tier.shadow,
        max_wait_seconds=tier.max_wait_seconds,
        lease_ratio=tier.lease_percent / 100,
        near_limit_ratio=tier.near_limit_percent / 100,
        quota=tier.quota,
        quota_period=tier.quota_period,
        time_zone=tier.time_zone,
        concurrency=tier.concurrency,
        hold_seconds=tier.hold_seconds,
    )


ratelimit: LiveSettings[Ratelimit] = LiveSettings("ratelimit", load=load, default=Ratelimit())

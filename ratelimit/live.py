"""The rate limiter's live settings: who has which bucket."""

import msgspec

from optimizer.control.live import LiveSettings
from ratelimit.engine import Limit
from ratelimit.models import RatelimitSettings, Subject, Tier


class LiveTier(msgspec.Struct, frozen=True):
    """A tier as a decision needs it."""

    limit: Limit
    open_when_redis_is_away: bool


DEFAULT_TIER = LiveTier(Limit("default", 20, 1, 1), open_when_redis_is_away=True)


class Ratelimit(msgspec.Struct, frozen=True):
    """The frozen settings."""

    enabled: bool = True
    default_tier: LiveTier = DEFAULT_TIER
    tiers: dict[str, LiveTier] = {}
    subjects: dict[str, LiveTier] = {}

    def tier_of(self, subject: str) -> LiveTier:
        return self.subjects.get(subject, self.default_tier)


def load() -> Ratelimit:
    """Read the rows."""
    settings = RatelimitSettings.load()
    tiers = {tier.pk: _live(tier) for tier in Tier.objects.all()}
    assigned = Subject.objects.values_list("identifier", "tier_id")
    return Ratelimit(
        enabled=settings.enabled,
        default_tier=tiers.get(settings.default_tier_id or 0, DEFAULT_TIER),
        tiers={tier.limit.name: tier for tier in tiers.values()},
        subjects={identifier: tiers[pk] for identifier, pk in assigned if pk in tiers},
    )


def _live(tier: Tier) -> LiveTier:
    limit = Limit(tier.name, tier.capacity, tier.refill_tokens, tier.refill_period_seconds)
    return LiveTier(
        limit, open_when_redis_is_away=tier.when_redis_is_away == Tier.WhenRedisIsAway.OPEN
    )


ratelimit: LiveSettings[Ratelimit] = LiveSettings("ratelimit", load=load, default=Ratelimit())

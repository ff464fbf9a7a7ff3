"""Decide, and write the limiter's first rows."""

from optimizer.control.redis import RedisAway, call
from optimizer.control.revisions import change
from ratelimit import metrics
from ratelimit.engine import Decision, TokenBucket
from ratelimit.live import ratelimit
from ratelimit.models import RatelimitSettings, Subject, Tier

EXAMPLE_SUBJECT = "example"
AWAY_RETRY_SECONDS = 1.0


class Limiter:
    """Decide by the live tiers, in process; what the API and the decorators call too."""

    def __init__(self, bucket: TokenBucket) -> None:
        self._bucket = bucket

    def check(self, subject: str, cost: int = 1) -> Decision:
        """Spend `cost` tokens of the subject's bucket if they are there.

        With the kill switch on, or Redis away in a tier that is open then, it allows without a
        bucket. Raises ValueError when the subject does not have 1 to 256 characters, or the cost
        is not between 1 and the tier's capacity.
        """
        settings = ratelimit.current()
        tier = settings.tier_of(subject)
        # Checked even where no bucket is asked, so that a bad call fails on every day alike.
        self._bucket.key(subject)
        if not 1 <= cost <= tier.limit.capacity:
            raise ValueError(
                f"cost must be between 1 and {tier.limit.capacity},"
                f" the capacity of tier {tier.limit.name}"
            )
        if not settings.enabled:
            decision = Decision(True, tier.limit, tier.limit.capacity, 0.0, 0.0, "disabled")
        else:
            try:
                decision = self._bucket.check(subject, tier.limit, cost)
            except RedisAway:
                is_open = tier.open_when_redis_is_away
                wait = 0.0 if is_open else AWAY_RETRY_SECONDS
                decision = Decision(is_open, tier.limit, 0, wait, wait, "redis-away")
        metrics.count(tier.limit.name, decision.allowed, decision.source)
        return decision

    def peek(self, subject: str, cost: int = 1) -> Decision:
        """Say what `check` would, spending nothing. Raises RedisAway and ValueError."""
        return self._bucket.peek(subject, ratelimit.current().tier_of(subject).limit, cost)

    def reset(self, subject: str) -> None:
        """Fill the subject's bucket. Raises RedisAway."""
        self._bucket.reset(subject)


limiter = Limiter(TokenBucket(call))


def seed() -> None:
    """Write three tiers and an example subject where there are no tiers yet."""
    if Tier.objects.exists():
        return
    with change("ratelimit", reason="First tiers"):
        free = Tier(name="free", capacity=20, refill_tokens=1, refill_period_seconds=1)
        demo = Tier(name="demo", capacity=5, refill_tokens=1, refill_period_seconds=30)
        paid = Tier(name="premium", capacity=200, refill_tokens=20, refill_period_seconds=1)
        for tier in (free, demo, paid):
            tier.full_clean()
            tier.save()
        Subject(identifier=EXAMPLE_SUBJECT, tier=demo).save()
        settings = RatelimitSettings.load()
        settings.default_tier = free
        settings.save()

"""The limiter's first rows."""

from optimizer.control.revisions import change
from ratelimit.models import RatelimitSettings, Subject, Tier

EXAMPLE_SUBJECT = "example"


def seed() -> None:
    """Write three tiers and an example subject where there are no tiers yet."""
    if Tier.objects.exists():
        return
    with change("ratelimit", reason="First tiers"):
        free = Tier(name="free", capacity=20, refill_tokens=1, refill_period_seconds=1)
        demo = Tier(name="demo", capacity=5, refill_tokens=1, refill_period_seconds=30)
        demo.on_change = Tier.OnChange.RESET  # who tries it sees a change at once
        paid = Tier(name="premium", capacity=200, refill_tokens=20, refill_period_seconds=1)
        for tier in (free, demo, paid):
            tier.full_clean()
            tier.save()
        Subject(identifier=EXAMPLE_SUBJECT, tier=demo).save()
        settings = RatelimitSettings.load()
        settings.default_tier = free
        settings.save()

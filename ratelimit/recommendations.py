"""What a review recommends of tiers: those that deny much, and those that only watch."""

from collections import Counter, defaultdict

from optimizer.control.recommendations import Place, Recommendation
from ratelimit.models import Tier
from ratelimit.selectors import rates

_LEAST_CALLS = 1000  # in the last hour
_MUCH, _LITTLE = 0.2, 0.01  # of the calls


def recommend() -> list[Recommendation]:
    """Return what is worth doing, by the last hour. Raises RedisAway."""
    by_tier: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (outcome, tier, _), values in rates()[1].items():
        by_tier[tier][outcome] += sum(values)
    found = []
    for row in Tier.objects.filter(name__in=list(by_tier)).order_by("name"):
        counts = by_tier[row.name]
        calls = counts.total()
        if calls < _LEAST_CALLS:
            continue
        denied, shadow = counts["denied"] / calls, counts["shadow"] / calls
        place = Place("admin:ratelimit_tier_change", (row.pk,))
        if row.shadow and shadow < _LITTLE:
            found.append(
                Recommendation(
                    f"shadow:{row.name}",
                    f"The tier {row.name} could limit",
                    f"It only watches, and would have denied {100 * shadow:.2g} % of {calls:,} "
                    "calls in the last hour: end its shadow mode.",
                    place,
                )
            )
        elif denied >= _MUCH:
            found.append(
                Recommendation(
                    f"denies:{row.name}",
                    f"The tier {row.name} denies much",
                    f"{100 * denied:.0f} % of {calls:,} calls in the last hour were denied: try "
                    "larger limits on them, or see on the live page who asks so often.",
                    place,
                )
            )
    return found

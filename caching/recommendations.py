"""What a review recommends of the cache: the first tier's budget, and what is cached in vain."""

from caching import selectors
from caching.live import caching
from optimizer.control.recommendations import Bar, Button, Place, Recommendation
from optimizer.control.units import format_amount

_LEAST_SAMPLES = 1000  # reads that the curve must have seen
_LEAST_READS, _LEAST_HIT_RATIO = 1000, 0.2
_LIVE = "admin:caching_live"


def recommend() -> list[Recommendation]:
    """Return what is worth doing. Raises RedisAway."""
    found = selectors.overview()
    return [*_budget(found), *_in_vain(found)]


def _budget(found: selectors.Overview) -> list[Recommendation]:
    if found.curve.requests < _LEAST_SAMPLES:
        return []
    now_bytes = caching.current().l1_budget_bytes
    told = selectors.advice(found.curve, now_bytes)
    bars = tuple(
        Bar(
            format_amount(one.budget_bytes, "bytes"),
            100 * one.hit_ratio,
            "advised" if one.is_advised else "now" if one.is_present else "other",
        )
        for one in told
    )
    present = next(one for one in told if one.is_present)
    now = format_amount(now_bytes, "bytes")
    advised = next((one for one in told if one.is_advised), None)
    if advised is None:
        return [
            Recommendation(
                "budget",
                f"{now} for each process is right",
                f"{100 * present.hit_ratio:.1f} % of the reads would hit in the process; no other "
                "budget is worth its memory.",
                Place(_LIVE),
                bars=bars,
                is_fine=True,
            )
        ]
    size = format_amount(advised.budget_bytes, "bytes")
    more = advised.budget_bytes > now_bytes
    return [
        Recommendation(
            "budget",
            f"{'Raise' if more else 'Lower'} the budget of each process from {now} to {size}",
            f"{100 * advised.hit_ratio:.1f} % of the reads would hit in the process instead of "
            f"{100 * present.hit_ratio:.1f} %, by a sample of the keys.",
            Place(_LIVE),
            Button(
                f"Apply {size}",
                Place("admin:caching_budget"),
                {"budget_bytes": str(advised.budget_bytes)},
            ),
            bars,
        )
    ]


def _in_vain(found: selectors.Overview) -> list[Recommendation]:
    return [
        Recommendation(
            f"namespace:{one.name}",
            f"The namespace {one.name} hits little",
            f"{100 * one.hit_ratio:.1f} % of {one.reads:,} reads hit: let its values live longer, "
            "or do not cache them.",
            Place(_LIVE, query=f"namespace={one.name}"),
        )
        for one in found.namespaces
        if one.reads >= _LEAST_READS and one.hit_ratio < _LEAST_HIT_RATIO
    ]

"""Whether a figure has become better or worse, by its hours before and after.

Cliff's delta (N. Cliff, "Dominance statistics", Psychological Bulletin 114, 1993): of all pairs of
an hour after and an hour before the share in which the later one is larger, less the share in which
it is smaller. It asks nothing of how the values are spread, and one bad hour does not move it far.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Literal

Verdict = Literal["better", "worse", "same", "unknown"]

LEAST_HOURS = 6  # on each side, to say anything
LARGE_DELTA = 0.33  # a medium effect, as it is commonly read


def cliffs_delta(before: Sequence[float], after: Sequence[float]) -> float:
    """Return from -1 (all hours after are smaller) to 1 (all are larger); 0 of no hours."""
    if not before or not after:
        return 0.0
    ordered = sorted(before)
    balance = sum(
        bisect_left(ordered, one) - (len(ordered) - bisect_right(ordered, one)) for one in after
    )
    return balance / (len(before) * len(after))


def change_percent(before: float, after: float) -> float | None:
    """Return by how much it has grown; None where it began at nothing."""
    return 100 * (after / before - 1) if before else None


def verdict(
    before: Sequence[float], after: Sequence[float], *, better: str, least_percent: float
) -> Verdict:
    """Judge two spans by their hours: both the hours and their means must have moved.

    `better` is "more", "less" or "" for a figure that is neither good nor bad.
    """
    if min(len(before), len(after)) < LEAST_HOURS:
        return "unknown"
    delta = cliffs_delta(before, after)
    if abs(delta) < LARGE_DELTA:
        return "same"
    return judge(
        sum(before) / len(before), sum(after) / len(after),
        better=better, least_percent=least_percent,
    )  # fmt: skip


def judge(before: float, after: float, *, better: str, least_percent: float) -> Verdict:
    """Judge two numbers by how far apart they are."""
    change = change_percent(before, after)
    if not better or before == after or (change is not None and abs(change) < least_percent):
        return "same"
    return "better" if (after > before) == (better == "more") else "worse"

"""What a review recommends of operations: rules that fire too often, answers that are made anew."""

from datetime import timedelta

from django.db.models import Count
from django.utils import timezone

from optimizer.control.recommendations import Place, Recommendation
from optimizer.operations import verification
from optimizer.operations.live import operations
from optimizer.operations.models import AlertEvent

_DAYS, _OFTEN = 7, 20


def recommend() -> list[Recommendation]:
    """Return what is worth doing."""
    return [*_restless_rules(), *_failed_checks(), *_slow_answers()]


def _restless_rules() -> list[Recommendation]:
    begin = timezone.now() - timedelta(days=_DAYS)
    rows = (
        AlertEvent.objects.filter(started_at__gte=begin, rule__enabled=True)
        .values("rule", "rule__name")
        .annotate(times=Count("pk"))
        .filter(times__gte=_OFTEN)
        .order_by("-times")
    )
    return [
        Recommendation(
            f"restless:{one['rule']}",
            f"The alert rule {one['rule__name']} goes on and off",
            f"It fired {one['times']} times in {_DAYS} days: set its clear threshold further away, "
            "or let it wait longer.",
            Place("admin:operations_alertrule_change", (one["rule"],)),
        )
        for one in rows
    ]


def _failed_checks() -> list[Recommendation]:
    last = verification.last()
    failed = [one for one in last["outcomes"] if not one["passed"]] if last else []
    if not failed:
        return []
    names = ", ".join(f"{one['component']}: {one['check']}" for one in failed[:3])
    return [
        Recommendation(
            "verification",
            f"{len(failed)} self-check{'' if len(failed) == 1 else 's'} failed",
            f"{names}. The page says what to do.",
            Place("admin:operations_verification"),
        )
    ]


def _slow_answers() -> list[Recommendation]:
    if operations.current().fast_answers:
        return []
    return [
        Recommendation(
            "fast-answers",
            "Switch fast answers on",
            "/health, /metrics and /api/overview are computed anew for each call.",
            Place("admin:operations_operationssettings_change", (1,)),
        )
    ]

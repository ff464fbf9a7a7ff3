"""What if: all strategies on the calls of the last hour, side by side."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from optimizer.balancer.engine.simulation import Outcome
from optimizer.balancer.live import balancer as live
from optimizer.balancer.models import StrategyName
from optimizer.balancer.services import what_if
from optimizer.balancer.services.balancing import UnknownGroup
from optimizer.control.redis import RedisAway

_LOOKS = 8_000  # calls of each strategy: a page is waited for


def page(request: HttpRequest, base: dict[str, Any]) -> HttpResponse:
    """Show the form, and what came of it once a group is chosen."""
    group, times = request.GET.get("group", ""), request.GET.get("times", "1")
    without = request.GET.getlist("without")
    settings = live.current().groups.get(group)
    context = {
        **base,
        "title": "What if",
        "names": list(live.current().groups),
        "chosen": group,
        "times": times,
        "without": without,
        "backends": settings.backends if settings is not None else (),
    }
    if group:
        context |= _outcome(group, times, tuple(without))
    return TemplateResponse(request, "tuneup/balancer_what_if.html", context)


def _outcome(group: str, times: str, without: tuple[str, ...]) -> dict[str, Any]:
    try:
        factor = float(times)
    except ValueError:
        return {"problem": "times must be a number."}
    try:
        plan = what_if.plan(what_if.Asked(group, factor, without, calls=_LOOKS))
    except RedisAway:
        return {"problem": "Redis is away, and with it the record of the last hour."}
    except what_if.NothingRecorded:
        return {"problem": "No call of this group was recorded in the last hour."}
    except (UnknownGroup, what_if.BadChoice) as error:
        return {"problem": f"{error}."}
    outcomes = list(plan.outcomes())
    best = min(outcomes, key=lambda one: (round(one.error_ratio, 3), one.p99_seconds))
    slowest = max(one.p99_seconds for one in outcomes) or 1.0
    unevenest = max(one.imbalance for one in outcomes) or 1.0
    failing = max(one.error_ratio for one in outcomes) or 1.0
    return {
        "plan": plan,
        "rows": [
            {
                "of": one,
                "title": StrategyName(one.strategy).label,
                "is_now": one.strategy == plan.settings.strategy,
                "is_best": one is best,
                "p99_percent": 100 * one.p99_seconds / slowest,
                "error_percent": 100 * one.error_ratio,
                "error_bar": 100 * one.error_ratio / failing,
                "imbalance_percent": 100 * one.imbalance / unevenest,
                "shares": _shares(one),
            }
            for one in outcomes
        ],
    }


def _shares(one: Outcome) -> list[dict[str, Any]]:
    return [{"name": name, "percent": 100 * share} for name, share in sorted(one.shares.items())]

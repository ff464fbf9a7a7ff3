"""How alerts stand."""

from dataclasses import dataclass
from datetime import datetime

from optimizer.operations.models import AlertEvent, AlertRule, AlertState, Notice
from optimizer.operations.services.notices import MAX_ATTEMPTS

_SEVERITIES = {one: at for at, one in enumerate(AlertRule.Severity.values)}


@dataclass(frozen=True, slots=True)
class Overview:
    """What fires now, the worst first, and how many rules are in which state."""

    firing: list[AlertEvent]
    pending: int
    rules: int
    silenced: int
    looked_at: datetime | None


def overview() -> Overview:
    """Return how alerts stand now."""
    firing = AlertEvent.objects.filter(resolved_at=None, rule__enabled=True)
    rules = list(AlertRule.objects.filter(enabled=True).select_related("state"))
    states = [rule.state for rule in rules if hasattr(rule, "state")]
    return Overview(
        sorted(
            firing.select_related("rule__state"),
            key=lambda one: (_SEVERITIES.get(one.severity, 9), one.started_at),
        ),
        sum(one.state == AlertState.State.PENDING for one in states),
        len(rules),
        sum(rule.is_silenced for rule in rules),
        max((one.minute for one in states if one.minute is not None), default=None),
    )


def rules_by_figure() -> dict[str, list[AlertRule]]:
    """Return the rules that are on, with their states, by figure."""
    found: dict[str, list[AlertRule]] = {}
    for rule in AlertRule.objects.filter(enabled=True).select_related("state").order_by("name"):
        found.setdefault(rule.figure, []).append(rule)
    return found


def outcome_of(notice: Notice) -> str:
    """Return what became of a notice: sent, waiting, or given up."""
    if notice.delivered_at is not None:
        return "sent"
    return "given up" if notice.attempts >= MAX_ATTEMPTS else "waiting"

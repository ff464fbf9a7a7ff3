"""Look at every rule once a minute: what fires, what is over, and who is to be told.

Several beats and workers may look at once: a rule's state is locked while it is looked at, a minute
is looked at once, and an event and its notices are written in the same transaction.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from optimizer.control import registry
from optimizer.control.units import format_amount, format_measured
from optimizer.operations.engine.hysteresis import FIRING, OK, Standing, Threshold, step
from optimizer.operations.models import AlertEvent, AlertNotice, AlertRule, AlertState

_LONGEST_GAP = timedelta(seconds=150)
_Kind, _Channel = AlertNotice.Kind, AlertNotice.Channel


def evaluate(minute: datetime, values: Mapping[str, float]) -> int:
    """Look at every rule with the values of a minute; return how many fire."""
    _close_what_is_not_looked_at()
    rules = AlertRule.objects.filter(enabled=True).order_by("pk").values_list("pk", flat=True)
    return sum(_look(pk, minute, values) for pk in list(rules))


@transaction.atomic
def _look(pk: int, minute: datetime, values: Mapping[str, float]) -> bool:
    AlertState.objects.get_or_create(rule_id=pk, defaults={"since": minute})
    state = AlertState.objects.select_for_update().get(pk=pk)
    # Read within the lock: an admin may have changed it, or deleted it with its state.
    rule = AlertRule.objects.filter(pk=pk, enabled=True).first()
    if rule is None or (state.minute is not None and state.minute >= minute):
        return rule is not None and state.state == FIRING
    value = values.get(rule.figure)
    before = Standing(state.state, state.since.timestamp())
    at, threshold = minute.timestamp(), threshold_of(rule)
    if state.minute is not None and minute - state.minute > _LONGEST_GAP:
        before = step(before, None, at, threshold)  # nobody knows what was in between
    after = step(before, value, at, threshold)
    state.state, state.value, state.minute = after.state, value, minute
    state.since = datetime.fromtimestamp(after.since, UTC)
    state.save()
    event = AlertEvent.objects.filter(rule=rule, resolved_at=None).first()
    if after.state == FIRING:
        _fires(rule, event, value, minute)
    elif event is not None:
        _is_over(event, rule)
    return after.state == FIRING


def _fires(
    rule: AlertRule, event: AlertEvent | None, value: float | None, minute: datetime
) -> None:
    if event is None:
        reached = value if value is not None else rule.threshold
        event = AlertEvent.objects.create(
            rule=rule,
            name=rule.name,
            figure=rule.figure,
            severity=rule.severity,
            condition=condition_of(rule),
            value=reached,
            worst=reached,
            started_at=minute,
        )
    elif value is not None:
        worse = max if rule.comparison == AlertRule.Comparison.ABOVE else min
        event.worst = worse(event.worst, value)
        event.save(update_fields=["worst"])
    # What began in silence is told when that is over.
    if event.told_at is None and not rule.is_silenced:
        event.told_at = timezone.now()
        event.save(update_fields=["told_at"])
        _tell(event, rule, _Kind.FIRING)


def _is_over(event: AlertEvent, rule: AlertRule) -> None:
    event.resolved_at = timezone.now()
    event.save(update_fields=["resolved_at"])
    if event.told_at is not None:  # who was not told of it is not told of its end
        _tell(event, rule, _Kind.RESOLVED)


def _tell(event: AlertEvent, rule: AlertRule, kind: str) -> None:
    targets: list[tuple[str, str]] = [(_Channel.LOG, "")] if rule.to_log else []
    targets += [(_Channel.EMAIL, address) for address in rule.addresses]
    if rule.webhook_url:
        targets.append((_Channel.WEBHOOK, rule.webhook_url))
    AlertNotice.objects.bulk_create(
        AlertNotice(event=event, kind=kind, channel=channel, target=target)
        for channel, target in targets
    )


def _close_what_is_not_looked_at() -> None:
    """End the events of rules that were switched off or deleted, and let those begin anew."""
    gone = AlertEvent.objects.filter(Q(rule=None) | Q(rule__enabled=False), resolved_at=None)
    gone.update(resolved_at=timezone.now(), ended_by="the rule is off or gone")
    off = AlertState.objects.filter(rule__enabled=False).exclude(state=OK)
    off.update(state=OK, since=timezone.now())


def threshold_of(rule: AlertRule) -> Threshold:
    """Return a rule's numbers."""
    return Threshold(
        is_above=rule.comparison == AlertRule.Comparison.ABOVE,
        limit=rule.threshold,
        clear=rule.clears_at,
        for_seconds=60.0 * rule.for_minutes,
    )


def condition_of(rule: AlertRule) -> str:
    """Return what a rule says in words: "Cache hits below 20 % for 30 minutes"."""
    found = registry.figures().get(rule.figure)
    title = found[1].title if found else rule.figure
    lasts = f" for {format_amount(60 * rule.for_minutes, 'seconds')}" if rule.for_minutes else ""
    return f"{title} {rule.comparison} {amount_of(rule.figure, rule.threshold)}{lasts}"


def amount_of(figure: str, value: float | None) -> str:
    """Return a figure's value with its unit, as people read it; a dash where there is none."""
    if value is None:
        return "—"
    found = registry.figures().get(figure)
    return format_measured(value, found[1].unit if found else "")

"""Look at every rule once a minute: what fires, what is over, and who is to be told.

Several beats and workers may look at once: the rules' states are locked while they are looked at, a
minute is looked at once, and events and their notices are written in the same transaction.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from optimizer.control import registry
from optimizer.control.units import format_amount, format_measured
from optimizer.operations.engine.hysteresis import FIRING, OK, Standing, Threshold, step
from optimizer.operations.models import AlertEvent, AlertRule, AlertState, Notice

_LONGEST_GAP = timedelta(seconds=150)
_Kind, _Channel = Notice.Kind, Notice.Channel


def evaluate(minute: datetime, values: Mapping[str, float]) -> int:
    """Look at every rule with the values of a minute; return how many fire."""
    _begin_states(minute)
    with transaction.atomic():
        _close_what_is_not_looked_at()
        states = list(
            AlertState.objects.filter(rule__enabled=True).select_related("rule")
            .order_by("pk").select_for_update(of=("self",))  # all lock in the same order
        )  # fmt: skip
        fresh = [one for one in states if one.minute is None or one.minute < minute]
        round_ = _Round(minute)
        for state in fresh:
            _step(state, minute, values.get(state.rule.figure))
        events = AlertEvent.objects.filter(rule__in=[one.pk for one in fresh], resolved_at=None)
        by_rule = {one.rule_id: one for one in events}
        for state in fresh:
            round_.look(state, by_rule.get(state.pk))
        AlertState.objects.bulk_update(fresh, ["state", "since", "value", "minute"])
        round_.write()
    return sum(one.state == FIRING for one in states)


def _begin_states(minute: datetime) -> None:
    new = AlertRule.objects.filter(enabled=True, state=None).values_list("pk", flat=True)
    try:
        with transaction.atomic():
            AlertState.objects.bulk_create(
                [AlertState(rule_id=pk, since=minute) for pk in new], ignore_conflicts=True
            )
    except IntegrityError:
        return  # a rule was deleted just now; the others have their turn in a minute


def _step(state: AlertState, minute: datetime, value: float | None) -> None:
    at, threshold = minute.timestamp(), threshold_of(state.rule)
    standing = Standing(state.state, state.since.timestamp())
    if state.minute is not None and minute - state.minute > _LONGEST_GAP:
        standing = step(standing, None, at, threshold)  # nobody knows what was in between
    standing = step(standing, value, at, threshold)
    state.state, state.value, state.minute = standing.state, value, minute
    state.since = datetime.fromtimestamp(standing.since, UTC)


class _Round:
    """What comes of one look at all rules, written at its end in a few statements."""

    def __init__(self, minute: datetime) -> None:
        self._minute, self._now = minute, timezone.now()
        self._new: list[AlertEvent] = []
        self._changed: list[AlertEvent] = []
        self._notices: list[Notice] = []

    def look(self, state: AlertState, event: AlertEvent | None) -> None:
        """Begin, continue or end the event of a rule that has made its step."""
        if state.state == FIRING:
            self._fires(state.rule, event, state.value)
        elif event is not None:
            event.resolved_at = self._now
            self._changed.append(event)
            if event.told_at is not None:  # who was not told of it is not told of its end
                self._tell(event, state.rule, _Kind.RESOLVED)

    def write(self) -> None:
        """Write it; notices after their events."""
        AlertEvent.objects.bulk_create(self._new)
        AlertEvent.objects.bulk_update(self._changed, ["worst", "told_at", "resolved_at"])
        Notice.objects.bulk_create(self._notices)

    def _fires(self, rule: AlertRule, event: AlertEvent | None, value: float | None) -> None:
        if event is None:
            reached = value if value is not None else rule.threshold
            event = AlertEvent(
                rule=rule,
                name=rule.name,
                figure=rule.figure,
                severity=rule.severity,
                condition=condition_of(rule),
                value=reached,
                worst=reached,
                started_at=self._minute,
            )
            self._new.append(event)
        else:
            worse = max if rule.comparison == AlertRule.Comparison.ABOVE else min
            event.worst = worse(event.worst, value) if value is not None else event.worst
            self._changed.append(event)
        # What began in silence is told when that is over.
        if event.told_at is None and not rule.is_silenced:
            event.told_at = self._now
            self._tell(event, rule, _Kind.FIRING)

    def _tell(self, event: AlertEvent, rule: AlertRule, kind: str) -> None:
        targets: list[tuple[str, str]] = [(_Channel.LOG, "")] if rule.to_log else []
        targets += [(_Channel.EMAIL, address) for address in rule.addresses]
        if rule.webhook_url:
            targets.append((_Channel.WEBHOOK, rule.webhook_url))
        self._notices += [
            Notice(event=event, kind=kind, channel=channel, target=target)
            for channel, target in targets
        ]


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

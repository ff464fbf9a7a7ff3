"""Alerts: the rules that admins edit, the state of each, and what happened."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from optimizer.control import registry
from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsRow
from optimizer.operations.models.addresses import addresses_in, invalid_address

_LARGEST = 1e12


class AlertRule(SettingsRow):
    """A threshold on a figure, and who is told when it is passed for too long."""

    class Comparison(models.TextChoices):
        ABOVE = "above", "above"
        BELOW = "below", "below"

    class Severity(models.TextChoices):
        CRITICAL = "critical", "critical"
        WARNING = "warning", "warning"
        INFO = "info", "info"

    component = "operations"

    name = TextSetting(
        max_length=80,
        unique=True,
        pattern=r"\S(?:.*\S)?",
        pattern_hint="one line without spaces at its ends",
        help_text="What the notices say: the trouble in few words.",
    )
    figure = TextSetting(max_length=81, help_text="The figure that is looked at each minute.")
    comparison = ChoiceSetting(
        choices=Comparison, default=Comparison.ABOVE, help_text="On which side the trouble is."
    )
    threshold = FloatSetting(
        default=0.0,
        minimum=-_LARGEST,
        maximum=_LARGEST,
        help_text="In the unit of the figure. Passed, not only reached, it counts.",
    )
    clear_threshold = FloatSetting(
        default=None,
        minimum=-_LARGEST,
        maximum=_LARGEST,
        null=True,
        blank=True,
        help_text="The alert ends once the figure is back at this value; empty is the threshold. "
        "A distance between the two keeps an alert from going on and off.",
    )
    for_minutes = IntegerSetting(
        default=5,
        minimum=0,
        maximum=1440,
        unit="minutes",
        help_text="How long the threshold must stay passed before anybody is told; "
        "a minute without the figure starts it anew.",
    )
    severity = ChoiceSetting(choices=Severity, default=Severity.WARNING, help_text="How bad it is.")
    enabled = BooleanSetting(default=True, help_text="Off, the rule is not looked at.")
    to_log = BooleanSetting(default=True, help_text="Write notices into the log.")
    emails = TextSetting(
        max_length=500,
        blank=True,
        default="",
        help_text="Addresses that get notices by e-mail, separated by commas (needs EMAIL_URL).",
    )
    webhook_url = TextSetting(
        max_length=500,
        blank=True,
        default="",
        pattern=r"|https?://[^\s]+",
        pattern_hint="an address with http:// or https://",
        help_text="Gets notices as JSON, signed with WEBHOOK_SECRET, tried again for some hours.",
    )
    silenced_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Until then (UTC) nobody is told; what still holds afterwards is told then.",
    )

    class Meta:
        ordering = ("name",)

    @property
    def clears_at(self) -> float:
        """The value at which the alert ends."""
        return self.threshold if self.clear_threshold is None else self.clear_threshold

    @property
    def is_silenced(self) -> bool:
        """Whether nobody is to be told now."""
        return self.silenced_until is not None and self.silenced_until > timezone.now()

    @property
    def addresses(self) -> list[str]:
        """The e-mail addresses, one by one."""
        return addresses_in(self.emails)

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        if self.figure not in (known := registry.figures()):
            errors["figure"] = f"Must be one of {', '.join(known)}."
        if self.threshold is not None and self.clear_threshold is not None:
            is_above = self.comparison == self.Comparison.ABOVE
            gap = self.threshold - self.clear_threshold
            if (gap if is_above else -gap) < 0:
                side = "below" if is_above else "above"
                errors["clear_threshold"] = f"Must be the threshold ({self.threshold:g}) or {side}."
        if wrong := invalid_address(self.emails):
            errors["emails"] = f"{wrong!r} is no e-mail address."
        if errors:
            raise ValidationError(errors)


class AlertState(models.Model):
    """How a rule stands since it was last looked at. Its row is locked while it is looked at."""

    class State(models.TextChoices):
        OK = "ok", "ok"
        PENDING = "pending", "pending"
        FIRING = "firing", "firing"

    rule = models.OneToOneField(
        AlertRule, on_delete=models.CASCADE, primary_key=True, related_name="state"
    )
    state = models.CharField(max_length=8, choices=State, default=State.OK)
    since = models.DateTimeField(default=timezone.now)
    value = models.FloatField(null=True)  # the last one; none: nobody could tell it
    minute = models.DateTimeField(null=True)  # that was looked at last

    def __str__(self) -> str:
        return f"{self.rule_id} {self.state}"


class AlertEvent(models.Model):
    """One time that a rule fired, from then until it was over."""

    rule = models.ForeignKey(AlertRule, on_delete=models.SET_NULL, null=True, related_name="events")
    name = models.CharField(max_length=80)
    figure = models.CharField(max_length=81)
    severity = models.CharField(max_length=8)
    condition = models.CharField(max_length=200)
    value = models.FloatField()  # when it fired
    worst = models.FloatField()
    started_at = models.DateTimeField(default=timezone.now, db_index=True)
    told_at = models.DateTimeField(null=True)  # none: it was silenced all the time
    resolved_at = models.DateTimeField(null=True, db_index=True)
    ended_by = models.CharField(max_length=40, blank=True)  # what ended it, if not the figure

    class Meta:
        ordering = ("-started_at", "-pk")
        constraints = [
            models.UniqueConstraint(
                fields=["rule"],
                condition=models.Q(resolved_at=None),
                name="operations_alertevent_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} since {self.started_at:%Y-%m-%d %H:%M}"

"""Groups: how calls are distributed, and what is done about backends that fail."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from optimizer.balancer.models.choices import CheckKind, GroupKind, StrategyName
from optimizer.balancer.models.watched import Watched, status_ranges
from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)

NAME = r"[a-z][a-z0-9_-]*"
NAME_HINT = "lower-case letters, digits, - and _, beginning with a letter"
_CHECKS = {
    GroupKind.HTTP: (CheckKind.NONE, CheckKind.HTTP, CheckKind.TCP),
    GroupKind.TCP: (CheckKind.NONE, CheckKind.TCP),
    GroupKind.REDIS: (CheckKind.NONE, CheckKind.REDIS, CheckKind.TCP),
    GroupKind.DATABASE: (CheckKind.NONE, CheckKind.SQL),
}
_SHORTER = "The longest ejection must be at least as long as the first."


class Group(Watched):
    """Backends that do the same, and how calls are distributed over them."""

    component = "balancer"

    name = TextSetting(
        max_length=48,
        unique=True,
        pattern=NAME,
        pattern_hint=NAME_HINT,
        help_text="Short name, used in the API and in metrics.",
    )
    kind = ChoiceSetting(
        choices=GroupKind, default=GroupKind.HTTP, help_text="What the backends are."
    )
    strategy = ChoiceSetting(
        choices=StrategyName, default=StrategyName.P2C_EWMA, help_text="How one is chosen."
    )
    zone_aware = BooleanSetting(
        default=False,
        help_text="Prefer backends of the process's own zone (TUNEUP_ZONE) while enough of them "
        "are healthy.",
    )
    decay_seconds = FloatSetting(
        default=10.0,
        minimum=0.1,
        maximum=600.0,
        unit="seconds",
        help_text="Peak EWMA: how fast a bad latency is forgotten.",
    )
    table_size = IntegerSetting(
        default=65_537,
        minimum=251,
        maximum=1_000_003,
        unit="slots",
        help_text="Maglev and bounded load: size of the table, a prime number.",
    )
    ring_points = IntegerSetting(
        default=400,
        minimum=1,
        maximum=10_000,
        unit="points",
        help_text="Ring hash: points on the ring for each unit of weight, a million together at "
        "most. More spread keys more evenly.",
    )
    bounded_load_percent = IntegerSetting(
        default=125,
        minimum=101,
        maximum=1000,
        unit="percent",
        help_text="Bounded load: how much of the mean a backend may have under way.",
    )

    timeout_seconds = FloatSetting(
        default=5.0,
        minimum=0.01,
        maximum=600.0,
        unit="seconds",
        help_text="How long a call may take. A failure costs a backend as much at least.",
    )
    connect_timeout_seconds = FloatSetting(
        default=1.0,
        minimum=0.01,
        maximum=60.0,
        unit="seconds",
        help_text="How long connecting may take.",
    )
    max_attempts = IntegerSetting(
        default=2,
        minimum=1,
        maximum=10,
        unit="attempts",
        help_text="How many backends one call may try. Only what is safe is sent again.",
    )
    retry_percent = IntegerSetting(
        default=20,
        minimum=0,
        maximum=100,
        unit="percent",
        help_text="Retry budget: retries as a share of a process's calls.",
    )
    retries_per_second = IntegerSetting(
        default=3,
        minimum=0,
        maximum=1000,
        unit="retries",
        help_text="Retry budget: so many a second besides.",
    )
    hedge_percentile = IntegerSetting(
        default=0,
        minimum=0,
        maximum=99,
        unit="percent",
        help_text="Hedging: a call that takes longer than so many per cent of all is sent to a "
        "second backend as well, within the retry budget. 0 never does.",
    )
    lease_seconds = FloatSetting(
        default=30.0,
        minimum=0.1,
        maximum=3600.0,
        unit="seconds",
        help_text="A pick over the API that is never reported is under way for so long.",
    )
    max_lag_seconds = FloatSetting(
        default=10.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="seconds",
        help_text="Database replicas that lag further behind take no reads.",
    )

    class Meta:
        ordering = ("name",)
        verbose_name = "backend group"
        constraints = (
            models.CheckConstraint(
                condition=Q(max_ejection_seconds__gte=F("ejection_seconds")),
                name="balancer_group_ejections_grow",
                violation_error_message=_SHORTER,
            ),
        )

    def clean(self) -> None:
        errors: dict[str, str] = {}
        if not _is_prime(self.table_size or 0):
            errors["table_size"] = (
                f"Must be a prime number, such as {_next_prime(self.table_size)}."
            )
        if (self.max_ejection_seconds or 0) < (self.ejection_seconds or 0):
            errors["max_ejection_seconds"] = _SHORTER
        allowed = _CHECKS.get(GroupKind(self.kind), ()) if self.kind in GroupKind.values else ()
        if allowed and self.check_kind not in allowed:
            errors["check_kind"] = f"Must be one of {', '.join(allowed)} for {self.kind} backends."
        if not status_ranges(self.check_status):
            errors["check_status"] = "Must be statuses such as 200,204 or 200-399."
        if self.pk and self.kind and self.backends.exists():
            stored = type(self).objects.filter(pk=self.pk).values_list("kind", flat=True).first()
            if stored not in (None, self.kind):
                errors["kind"] = (
                    "Cannot change while the group has backends: their addresses differ."
                )
        if errors:
            raise ValidationError(errors)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % by for by in range(2, int(number**0.5) + 1))


def _next_prime(number: int | None) -> int:
    found = max(number or 0, 251)
    while not _is_prime(found):
        found += 1
    return found

"""Groups: how calls are distributed, and what is done about backends that fail."""

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from optimizer.balancer.models.choices import CheckKind, GroupKind, StrategyName
from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsRow

NAME = r"[a-z][a-z0-9_-]*"
NAME_HINT = "lower-case letters, digits, - and _, beginning with a letter"
_STATUS = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?")
_CHECKS = {
    GroupKind.HTTP: (CheckKind.NONE, CheckKind.HTTP, CheckKind.TCP),
    GroupKind.TCP: (CheckKind.NONE, CheckKind.TCP),
    GroupKind.REDIS: (CheckKind.NONE, CheckKind.REDIS, CheckKind.TCP),
    GroupKind.DATABASE: (CheckKind.NONE, CheckKind.SQL),
}
_SHORTER = "The longest ejection must be at least as long as the first."


class Group(SettingsRow):
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
    ring_size = IntegerSetting(
        default=1024,
        minimum=1,
        maximum=1_000_000,
        unit="points",
        help_text="Ring hash: points on the ring, at least.",
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

    consecutive_failures = IntegerSetting(
        default=5,
        minimum=0,
        maximum=1000,
        unit="failures",
        help_text="Eject a backend after so many failures in a row in one process. 0 never does.",
    )
    outlier_interval_seconds = FloatSetting(
        default=10.0,
        minimum=0.1,
        maximum=600.0,
        unit="seconds",
        help_text="How often backends are compared with each other.",
    )
    outlier_requests = IntegerSetting(
        default=50,
        minimum=1,
        maximum=1_000_000,
        unit="calls",
        help_text="Only backends with so many calls are compared.",
    )
    outlier_backends = IntegerSetting(
        default=3,
        minimum=2,
        maximum=1000,
        unit="backends",
        help_text="They are compared when there are so many of them.",
    )
    success_rate_stdev = FloatSetting(
        default=1.9,
        minimum=0.0,
        maximum=10.0,
        unit="deviations",
        help_text="Eject a success rate that is so many standard deviations under the mean, and a "
        "hundredth at least. 0 never does.",
    )
    failure_percent = IntegerSetting(
        default=85,
        minimum=0,
        maximum=100,
        unit="percent",
        help_text="Eject a backend of whose calls so many fail. 0 never does.",
    )
    latency_factor = FloatSetting(
        default=5.0,
        minimum=0.0,
        maximum=1000.0,
        unit="times",
        help_text="Eject a backend whose mean latency is so many times the median. 0 never does.",
    )
    ejection_seconds = FloatSetting(
        default=30.0,
        minimum=0.1,
        maximum=3600.0,
        unit="seconds",
        help_text="How long the first ejection lasts; each further one lasts twice as long.",
    )
    max_ejection_seconds = FloatSetting(
        default=300.0,
        minimum=0.1,
        maximum=86_400.0,
        unit="seconds",
        help_text="No ejection lasts longer, but for a quarter of jitter.",
    )
    max_ejected_percent = IntegerSetting(
        default=50,
        minimum=0,
        maximum=100,
        unit="percent",
        help_text="No more of the backends are ejected at once, but one may always be.",
    )
    probe_successes = IntegerSetting(
        default=2,
        minimum=1,
        maximum=100,
        unit="calls",
        help_text="After its ejection a backend gets one call at a time, until so many succeed.",
    )
    panic_percent = IntegerSetting(
        default=50,
        minimum=0,
        maximum=100,
        unit="percent",
        help_text="With fewer healthy backends the verdicts are ignored and all are used. 0 never "
        "does: then calls fail.",
    )
    slow_start_seconds = FloatSetting(
        default=10.0,
        minimum=0.0,
        maximum=3600.0,
        unit="seconds",
        help_text="A backend that comes (back) gets its full weight after so long. Strategies that "
        "are sticky, and round robin, know no slow start.",
    )

    check_kind = ChoiceSetting(
        choices=CheckKind, default=CheckKind.NONE, help_text="How backends are checked by beat."
    )
    check_path = TextSetting(
        max_length=200,
        default="/",
        pattern=r"/[^\s#]*",
        pattern_hint="a path that begins with /",
        help_text="HTTP: the page that is fetched, under the backend's address.",
    )
    check_status = TextSetting(
        max_length=60,
        default="200-399",
        help_text="HTTP: the statuses that are healthy, such as 200,204 or 200-399.",
    )
    check_body = TextSetting(
        max_length=200, default="", blank=True, help_text="HTTP: a text that the page must have."
    )
    check_interval_seconds = FloatSetting(
        default=2.0,
        minimum=1.0,
        maximum=3600.0,
        unit="seconds",
        help_text="How often a backend is checked.",
    )
    check_timeout_seconds = FloatSetting(
        default=1.0,
        minimum=0.05,
        maximum=10.0,
        unit="seconds",
        help_text="How long a check may take.",
    )
    check_fall = IntegerSetting(
        default=3,
        minimum=1,
        maximum=100,
        unit="checks",
        help_text="A backend is unhealthy after so many failed checks in a row.",
    )
    check_rise = IntegerSetting(
        default=2,
        minimum=1,
        maximum=100,
        unit="checks",
        help_text="It is healthy again after so many good ones.",
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


def status_ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges of statuses that a text like "200,300-399" names; none where it is bad."""
    found = []
    for part in (part.strip() for part in text.split(",")):
        if not _STATUS.fullmatch(part):
            return []
        first, _, last = part.partition("-")
        found.append((int(first), int(last or first)))
    return found


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % by for by in range(2, int(number**0.5) + 1))


def _next_prime(number: int | None) -> int:
    found = max(number or 0, 251)
    while not _is_prime(found):
        found += 1
    return found

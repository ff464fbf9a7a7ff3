"""What is done about backends that fail: ejection by how calls go, panic, checks by beat."""

import re

from optimizer.balancer.models.choices import CheckKind
from optimizer.control.fields import (
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsRow

_STATUS = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?")


class Watched(SettingsRow):
    """The part of a group that watches its backends."""

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
        "hundredth at least, with five failures. 0 never does.",
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
        abstract = True


def status_ranges(text: str) -> list[tuple[int, int]]:
    """Return the ranges of statuses that a text like "200,300-399" names; none where it is bad."""
    found = []
    for part in (part.strip() for part in text.split(",")):
        if not _STATUS.fullmatch(part):
            return []
        first, _, last = part.partition("-")
        found.append((int(first), int(last or first)))
    return found

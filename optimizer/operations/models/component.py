"""What an admin sets for the outer wall and the operations endpoints."""

import ipaddress

from django.core.exceptions import ValidationError
from django.db import models

from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsModel
from optimizer.operations.models.addresses import invalid_address


def _rate(default: int, help_text: str) -> IntegerSetting:
    return IntegerSetting(
        default=default, minimum=0, maximum=1_000_000, unit="requests", help_text=help_text
    )


class OperationsSettings(SettingsModel):
    """The outer wall, who may read what, what is kept, and reviews."""

    class Every(models.TextChoices):
        NEVER = "never", "Never: only by hand"
        DAILY = "daily", "Each day"
        WEEKLY = "weekly", "Each week"
        MONTHLY = "monthly", "On the first of each month"

    class Weekday(models.TextChoices):
        MONDAY = "monday", "Monday"
        TUESDAY = "tuesday", "Tuesday"
        WEDNESDAY = "wednesday", "Wednesday"
        THURSDAY = "thursday", "Thursday"
        FRIDAY = "friday", "Friday"
        SATURDAY = "saturday", "Saturday"
        SUNDAY = "sunday", "Sunday"

    component = "operations"

    login_rate_per_minute = _rate(
        10,
        "Tries to log in to the admin, a minute and client address; 0 is no limit.",
    )
    anonymous_rate_per_minute = _rate(
        120,
        "Internal calls without a valid key, a minute and address; 0 is no limit.",
    )
    keyed_rate_per_minute = _rate(
        0,
        "Internal calls with a valid key, a minute and address; 0 is no limit. "
        "A limit here costs each call two more trips to Redis.",
    )
    trusted_proxy_count = IntegerSetting(
        default=0,
        minimum=0,
        maximum=10,
        help_text="Proxies in front that add to X-Forwarded-For; 0 takes the address as it comes.",
    )
    metrics_allowed_networks = TextSetting(
        default="127.0.0.0/8, ::1/128",
        max_length=500,
        blank=True,
        help_text="Networks that may read /metrics without a key, separated by commas.",
    )
    check_timeout_seconds = FloatSetting(
        default=1.0,
        minimum=0.1,
        maximum=30,
        unit="seconds",
        help_text="How long /ready waits for one check.",
    )
    keep_minutes_hours = IntegerSetting(
        default=48,
        minimum=2,
        maximum=336,
        unit="hours",
        help_text="How long figures are kept for each minute.",
    )
    keep_hours_days = IntegerSetting(
        default=90,
        minimum=1,
        maximum=1100,
        unit="days",
        help_text="How long figures are kept for each hour.",
    )
    keep_alerts_days = IntegerSetting(
        default=90,
        minimum=1,
        maximum=1100,
        unit="days",
        help_text="How long alerts that are over are kept.",
    )
    review_every = ChoiceSetting(
        choices=Every,
        default=Every.WEEKLY,
        help_text="How often a performance review is made, of as long a time as lies between two.",
    )
    review_weekday = ChoiceSetting(
        choices=Weekday, default=Weekday.MONDAY, help_text="The day of a weekly review."
    )
    review_hour = IntegerSetting(
        default=6, minimum=0, maximum=23, unit="o'clock UTC", help_text="When a review is made."
    )
    review_regression_percent = FloatSetting(
        default=20.0,
        minimum=1.0,
        maximum=1000.0,
        unit="percent",
        help_text="By how much a figure must have changed for a review to call it worse or better.",
    )
    review_emails = TextSetting(
        max_length=500,
        blank=True,
        default="",
        help_text="Addresses that get each scheduled review, separated by commas "
        "(needs EMAIL_URL).",
    )
    site_url = TextSetting(
        max_length=200,
        blank=True,
        default="",
        pattern=r"|https?://[^\s/]+",
        pattern_hint="an address such as https://bots.example.org, without a path",
        help_text="Where this site is for people: links in mails begin with it.",
    )
    keep_reviews_days = IntegerSetting(
        default=400,
        minimum=7,
        maximum=3700,
        unit="days",
        help_text="How long performance reviews are kept.",
    )

    fast_answers = BooleanSetting(
        default=True,
        help_text="Answer /health, /metrics and /api/overview before Django's middleware, the last "
        "two from the cache.",
    )
    answer_age_seconds = FloatSetting(
        default=1.0,
        minimum=0,
        maximum=60,
        unit="seconds",
        help_text="How old an answer of /metrics and /api/overview may be; 0 makes each anew.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "operations settings"

    def clean(self) -> None:
        errors: dict[str, str] = {}
        try:
            parse_networks(self.metrics_allowed_networks)
        except ValueError as error:
            errors["metrics_allowed_networks"] = f"{error}."
        if wrong := invalid_address(self.review_emails):
            errors["review_emails"] = f"{wrong!r} is no e-mail address."
        if errors:
            raise ValidationError(errors)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks separated by commas. Raises ValueError naming the one that is none."""
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())

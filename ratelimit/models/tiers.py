"""Tiers: the token bucket of a kind of subject, and what goes with it."""

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsRow
from ratelimit.engine.limit import MAX_EXACT, MICRO

MAX_CAPACITY_PERIOD = MAX_EXACT // MICRO
_TOO_LARGE = (
    f"Capacity times period must be at most {MAX_CAPACITY_PERIOD:,}, to be counted exactly."
)


class Tier(SettingsRow):
    """A token bucket that every subject of the tier has for itself, and what goes with it."""

    component = "ratelimit"

    class OnChange(models.TextChoices):
        AS_IS = "as-is", "tokens in hand stay, up to the new capacity"
        RESET = "reset", "buckets are filled"
        PROPORTIONAL = "proportional", "buckets stay as full as they are, in per cent"

    class QuotaPeriod(models.TextChoices):
        DAY = "day", "calendar day"
        MONTH = "month", "calendar month"

    class WhenRedisIsAway(models.TextChoices):
        OPEN = "open", "let calls pass"
        CLOSED = "closed", "refuse calls"
        LOCAL = "local", "share the bucket out among the processes"

    name = TextSetting(
        max_length=32,
        unique=True,
        pattern=r"[a-z][a-z0-9_-]*",
        pattern_hint="lower-case letters, digits, - and _, beginning with a letter",
        help_text="Short name, used in the API and in metrics.",
    )
    capacity = IntegerSetting(
        default=20,
        minimum=1,
        maximum=1_000_000,
        unit="tokens",
        help_text="The burst: how many tokens a full bucket holds.",
    )
    refill_tokens = IntegerSetting(
        default=1,
        minimum=1,
        maximum=1_000_000,
        unit="tokens",
        help_text="How many tokens come back in each refill period.",
    )
    refill_period_seconds = IntegerSetting(
        default=1,
        minimum=1,
        maximum=86_400,
        unit="seconds",
        help_text="The refill period. Tokens come back evenly within it.",
    )
    on_change = ChoiceSetting(
        choices=OnChange,
        default=OnChange.AS_IS,
        help_text="What happens to the tokens in hand when the numbers above change.",
    )
    max_wait_seconds = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=60.0,
        unit="seconds",
        help_text="Past the limit: 0 refuses; more lets a call pass that waits so long at most, "
        "and tells it how long.",
    )
    near_limit_percent = IntegerSetting(
        default=10,
        minimum=0,
        maximum=100,
        unit="percent",
        help_text="With so much of the capacity left or less, callers are warned. 0 never warns.",
    )
    shadow = BooleanSetting(
        default=False,
        help_text="Shadow mode: decide and count, but let every call pass.",
    )
    quota = IntegerSetting(
        default=0,
        minimum=0,
        maximum=1_000_000_000,
        unit="tokens",
        help_text="Tokens in a calendar period, beside the bucket. 0 sets no quota.",
    )
    quota_period = ChoiceSetting(
        choices=QuotaPeriod, default=QuotaPeriod.DAY, help_text="When the quota begins anew."
    )
    time_zone = TextSetting(
        max_length=64,
        default="UTC",
        help_text="Whose midnight that is, such as Europe/Berlin.",
    )
    concurrency = IntegerSetting(
        default=0,
        minimum=0,
        maximum=10_000,
        unit="calls",
        help_text="Calls that may go on at once. 0 sets no limit.",
    )
    hold_seconds = FloatSetting(
        default=60.0,
        minimum=0.1,
        maximum=3600.0,
        unit="seconds",
        help_text="A call that is never reported as ended counts for so long.",
    )
    lease_percent = IntegerSetting(
        default=25,
        minimum=0,
        maximum=25,
        unit="percent",
        help_text="Share of a busy bucket's tokens that a process may hold for 50 ms, to decide "
        "without a trip to Redis. 0 leases none; quota, calls at once and shadow mode do not.",
    )
    when_redis_is_away = ChoiceSetting(
        choices=WhenRedisIsAway,
        default=WhenRedisIsAway.OPEN,
        help_text="What a check answers while Redis cannot be asked.",
    )

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=Q(
                    capacity__lte=MAX_CAPACITY_PERIOD / F("refill_period_seconds"),
                ),
                name="ratelimit_tier_counted_exactly",
                violation_error_message=_TOO_LARGE,
            ),
        )

    def clean(self) -> None:
        if (self.capacity or 0) * (self.refill_period_seconds or 0) > MAX_CAPACITY_PERIOD:
            raise ValidationError({"capacity": _TOO_LARGE})
        if self.time_zone not in available_timezones():
            raise ValidationError({"time_zone": "Must be a time zone, such as Europe/Berlin."})

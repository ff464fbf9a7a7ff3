"""What an admin edits: the switch, the tiers, and who belongs to which."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from optimizer.control.fields import BooleanSetting, ChoiceSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsModel, SettingsRow
from ratelimit.engine.limit import MAX_EXACT, MAX_SUBJECT_LENGTH, MICRO

MAX_CAPACITY_PERIOD = MAX_EXACT // MICRO
_TOO_LARGE = (
    f"Capacity times period must be at most {MAX_CAPACITY_PERIOD:,}, to be counted exactly."
)


class Tier(SettingsRow):
    """A token bucket that every subject of the tier has for itself."""

    component = "ratelimit"

    class WhenRedisIsAway(models.TextChoices):
        OPEN = "open", "let calls pass"
        CLOSED = "closed", "refuse calls"

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


class Subject(SettingsRow):
    """A user, guild, bot or address that has a tier of its own choosing."""

    component = "ratelimit"
    key_field = "identifier"

    identifier = TextSetting(
        max_length=MAX_SUBJECT_LENGTH,
        unique=True,
        help_text='What the bot sends as "subject", such as user:42.',
    )
    tier = models.ForeignKey(
        Tier, on_delete=models.CASCADE, related_name="subjects", help_text="Its token bucket."
    )

    class Meta:
        ordering = ("identifier",)


class RatelimitSettings(SettingsModel):
    """The rate limiter's switch, and the tier of everybody else."""

    component = "ratelimit"

    enabled = BooleanSetting(
        default=True, help_text="Off lets every call pass without a bucket: the kill switch."
    )
    default_tier = models.ForeignKey(
        Tier,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="The tier of subjects without one; empty means 20 tokens, one back each second.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "rate limiter settings"

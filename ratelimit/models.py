"""What an admin edits: the switch, the tiers, the scopes, and who belongs to which."""

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
from optimizer.control.models import SettingsModel, SettingsRow
from ratelimit.engine.limit import MAX_EXACT, MAX_SUBJECT_LENGTH, MICRO

MAX_CAPACITY_PERIOD = MAX_EXACT // MICRO
MAX_SCOPE_LENGTH = 64
SCOPE_PATTERN = r"[a-z0-9][a-z0-9:._-]*"
SCOPE_HINT = "lower-case letters, digits, : . _ and -, beginning with a letter or digit"
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


class Scope(SettingsRow):
    """A kind of call that has buckets of its own: a command, an endpoint, a guild."""

    component = "ratelimit"

    name = TextSetting(
        max_length=MAX_SCOPE_LENGTH,
        unique=True,
        pattern=SCOPE_PATTERN + r"\*?",
        pattern_hint=SCOPE_HINT + "; a * at the end stands for anything",
        help_text='What the bot sends as "scope": command:play, or command:* for each command.',
    )
    tier = models.ForeignKey(
        Tier,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="scopes",
        help_text="The bucket of everybody without a rule below; empty: the subject's own tier.",
    )

    class Meta:
        ordering = ("name",)


class ScopeRule(SettingsRow):
    """Which tier a subject's tier becomes in a scope."""

    component = "ratelimit"

    name = TextSetting(
        max_length=100, unique=True, editable=True, blank=True, help_text="Scope and tier."
    )
    scope = models.ForeignKey(
        Scope, on_delete=models.CASCADE, related_name="rules", help_text="In this scope"
    )
    subject_tier = models.ForeignKey(
        Tier, on_delete=models.CASCADE, related_name="+", help_text="who is of this tier"
    )
    tier = models.ForeignKey(
        Tier, on_delete=models.PROTECT, related_name="+", help_text="has this tier's bucket."
    )

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("scope", "subject_tier"),
                name="ratelimit_scoperule_once",
                violation_error_message="This scope has a rule for this tier already.",
            ),
        )

    def clean(self) -> None:
        if self.scope_id and self.subject_tier_id:
            self.name = f"{self.scope.name}/{self.subject_tier.name}"

    def save(self, *args: object, **kwargs: object) -> None:
        self.name = f"{self.scope.name}/{self.subject_tier.name}"
        super().save(*args, **kwargs)


class Access(models.TextChoices):
    """How a subject is treated."""

    LIMIT = "limit", "limit by the tier"
    ALLOW = "allow", "always allow"
    DENY = "deny", "always refuse"


class Assignment(SettingsRow):
    """What a subject or a pattern of subjects is given, for ever or for a time."""

    component = "ratelimit"

    access = ChoiceSetting(
        choices=Access, default=Access.LIMIT, help_text="Limited, or on the allow or deny list."
    )
    tier = models.ForeignKey(
        Tier,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="%(class)ss",
        help_text="The token bucket; empty: the default tier's.",
    )
    expires_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on this row counts no more. Empty: for ever."
    )

    class Meta:
        abstract = True


class Subject(Assignment):
    """A user, guild, bot or address that has a tier of its own choosing."""

    key_field = "identifier"

    identifier = TextSetting(
        max_length=MAX_SUBJECT_LENGTH,
        unique=True,
        help_text='What the bot sends as "subject", such as user:42.',
    )

    class Meta:
        ordering = ("identifier",)


class SubjectPattern(Assignment):
    """Subjects by the form of their names."""

    key_field = "pattern"

    pattern = TextSetting(
        max_length=MAX_SUBJECT_LENGTH,
        unique=True,
        help_text="Such as guild:* or bot:?: * stands for anything, ? for one character.",
    )
    priority = IntegerSetting(
        default=100,
        minimum=0,
        maximum=10_000,
        help_text="Of several that fit, the one with the lowest number counts.",
    )

    class Meta:
        ordering = ("priority", "pattern")


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
    deny_cache_seconds = FloatSetting(
        default=0.1,
        minimum=0.0,
        maximum=10.0,
        unit="seconds",
        help_text="A process refuses by itself what was refused, until the tokens can be there or "
        "for so long; a reset elsewhere takes as long to be noticed. 0 asks Redis every time.",
    )
    sample_subjects = IntegerSetting(
        default=500,
        minimum=0,
        maximum=5000,
        unit="subjects",
        help_text="How many subjects' calls are recorded for an hour, for the preview of a change. "
        "0 records none.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "rate limiter settings"

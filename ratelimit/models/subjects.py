"""Subjects: who belongs to which tier, by name or by the form of the name."""

from django.db import models

from optimizer.control.fields import ChoiceSetting, IntegerSetting, TextSetting
from optimizer.control.models import SettingsRow
from ratelimit.engine.limit import MAX_SUBJECT_LENGTH
from ratelimit.models.tiers import Tier


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

"""Scopes: kinds of calls with buckets of their own."""

import re

from django.db import models

from optimizer.control.fields import TextSetting
from optimizer.control.models import SettingsRow
from ratelimit.models.tiers import Tier

MAX_SCOPE_LENGTH = 64
SCOPE_PATTERN = r"[a-z0-9][a-z0-9:._-]*"
is_scope_name = re.compile(SCOPE_PATTERN).fullmatch  # else it has no place in a header or a key
SCOPE_HINT = "lower-case letters, digits, : . _ and -, beginning with a letter or digit"


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

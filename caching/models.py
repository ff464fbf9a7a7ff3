"""What an admin edits (the budget, the bounds, the namespaces), and what was invalidated."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q, Sum
from django.utils import timezone

from caching.engine.copies import MOST_SHARED
from caching.engine.namespace import DEFAULT
from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsModel, SettingsRow

MAX_SHARES_PERCENT = round(MOST_SHARED * 100)


class CachingSettings(SettingsModel):
    """The first tier's budget, and what bounds both tiers."""

    component = "caching"

    class Policy(models.TextChoices):
        LRU = "lru", "LRU: least recently used first"
        S3_FIFO = "s3-fifo", "S3-FIFO: used once first (scans do not empty the cache)"
        GDSF = "gdsf", "GDSF: fewest hits for its size first (the most hits)"

    enabled = BooleanSetting(
        default=True,
        help_text="Off empties the first tier and reads the second one alone.",
    )
    l1_budget_bytes = IntegerSetting(
        default=200 * 1024**2,
        minimum=1024**2,
        maximum=64 * 1024**3,
        unit="bytes",
        help_text="Memory that each process may hold copies in, keys and bookkeeping included.",
    )
    l1_policy = ChoiceSetting(
        choices=Policy,
        default=Policy.LRU,
        help_text="Which copy leaves first when the budget is spent. A change begins empty.",
    )
    l1_largest_percent = FloatSetting(
        default=5.0,
        minimum=0.1,
        maximum=50.0,
        unit="percent",
        help_text="Share of the budget that one value may take; larger ones stay in the second "
        "tier.",
    )
    max_staleness_seconds = FloatSetting(
        default=1.0,
        minimum=0.05,
        maximum=3600.0,
        unit="seconds",
        help_text="Copies are served only while all that changed elsewhere until so long ago has "
        "surely arrived. While Redis is away that is how long they are still served.",
    )
    max_value_bytes = IntegerSetting(
        default=16 * 1024**2,
        minimum=1024,
        maximum=256 * 1024**2,
        unit="bytes",
        help_text="A larger value, as it is stored, is refused and counted.",
    )
    sample_keys = IntegerSetting(
        default=10_000,
        minimum=0,
        maximum=100_000,
        unit="keys",
        help_text="How many keys a process samples to tell what another budget would hit. "
        "0 samples none.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "cache settings"
        permissions = (("view_cached_values", "Can see cached values"),)


class Namespace(SettingsRow):
    """What governs the keys that begin with a prefix; the longest fitting prefix counts."""

    component = "caching"

    class Codec(models.TextChoices):
        PICKLE = "pickle", "pickle: any Python value (signed)"
        JSON = "json", "JSON: what every language reads"
        MSGPACK = "msgpack", "MessagePack: what every language reads, smaller"

    name = TextSetting(
        max_length=32,
        unique=True,
        pattern=r"[a-z][a-z0-9_-]*",
        pattern_hint="lower-case letters, digits, - and _, beginning with a letter",
        help_text="Short name, used in the API and in metrics.",
    )
    prefix = TextSetting(
        max_length=100,
        unique=True,
        blank=True,
        default="",
        help_text=f"What its keys begin with, such as user:. Empty only for {DEFAULT}, which has "
        "all other keys.",
    )
    ttl_seconds = FloatSetting(
        default=300.0,
        minimum=0.0,
        maximum=366 * 86_400.0,
        unit="seconds",
        help_text="Time to live where a call does not say. 0 keeps for ever.",
    )
    jitter_percent = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=50.0,
        unit="percent",
        help_text="Shortens each time to live by a random part of so much, so that values do not "
        "all expire at once.",
    )
    l1 = BooleanSetting(default=True, help_text="Keep copies in the process.")
    l1_share_percent = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=float(MAX_SHARES_PERCENT),
        unit="percent",
        help_text="Part of the budget for this namespace alone. 0 shares what is left with the "
        "others.",
    )
    l1_seconds = FloatSetting(
        default=60.0,
        minimum=0.1,
        maximum=86_400.0,
        unit="seconds",
        help_text="A copy is served for so long at most, then the second tier is asked again.",
    )
    l2 = BooleanSetting(
        default=True,
        help_text="Keep values in Redis. Off, each process has values of its own.",
    )
    codec = ChoiceSetting(
        choices=Codec, default=Codec.PICKLE, help_text="How values are written in Redis."
    )
    compress_over_bytes = IntegerSetting(
        default=8192,
        minimum=0,
        maximum=256 * 1024**2,
        unit="bytes",
        help_text="Larger values are compressed in Redis. 0 compresses none.",
    )
    negative_seconds = FloatSetting(
        default=5.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="seconds",
        help_text="How long a loader's None is remembered. 0 does not remember it.",
    )
    early_refresh = FloatSetting(
        default=1.0,
        minimum=0.0,
        maximum=10.0,
        unit="times",
        help_text="How eagerly a value is loaded anew before it expires (XFetch's beta): 1 begins "
        "about one load's time before. 0 waits for the end.",
    )
    stale_seconds = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="seconds",
        help_text="Stale-while-revalidate: past its time a value is served for so long while it "
        "is loaded anew.",
    )
    stale_if_error_seconds = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=7 * 86_400.0,
        unit="seconds",
        help_text="Past its time a value is served for so long when loading it anew fails.",
    )
    retry_seconds = FloatSetting(
        default=5.0,
        minimum=0.1,
        maximum=3600.0,
        unit="seconds",
        help_text="After a failed load a process serves the stale value for so long before it "
        "tries again.",
    )
    soft_timeout_seconds = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=60.0,
        unit="seconds",
        help_text="Where a stale value is there, a load is waited for so long; then the stale one "
        "is served and the load goes on. 0 waits for its end.",
    )
    load_seconds = FloatSetting(
        default=30.0,
        minimum=0.1,
        maximum=3600.0,
        unit="seconds",
        help_text="Longest time that others wait for a load, and that a loader holds the right to "
        "store.",
    )

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=Q(l1=True) | Q(l2=True),
                name="caching_namespace_has_a_tier",
                violation_error_message="l1, l2: at least one tier must be on.",
            ),
            models.CheckConstraint(
                condition=Q(name=DEFAULT, prefix="") | (~Q(name=DEFAULT) & ~Q(prefix="")),
                name="caching_namespace_prefix_given",
                violation_error_message=f"prefix: must be empty for {DEFAULT}, and for it alone.",
            ),
        )

    def clean(self) -> None:
        errors: dict[str, str] = {}
        if not (self.l1 or self.l2):
            errors["l2"] = "At least one of the two tiers must be on."
        if (self.name == DEFAULT) != (self.prefix == ""):
            errors["prefix"] = f"Must be empty for {DEFAULT}, and for it alone."
        others: Any = type(self).objects.exclude(pk=self.pk).aggregate(sum=Sum("l1_share_percent"))
        left = MAX_SHARES_PERCENT - (others["sum"] or 0)
        if (self.l1_share_percent or 0) > left:
            errors["l1_share_percent"] = (
                f"Must be at most {max(0, left):g} percent: all shares together may take "
                f"{MAX_SHARES_PERCENT} percent."
            )
        if errors:
            raise ValidationError(errors)


class Invalidation(models.Model):
    """A record of many values that somebody invalidated, and who it was."""

    what = models.CharField(max_length=400)
    count = models.BigIntegerField(null=True)  # None: nobody counted
    waited = models.BooleanField(default=False)  # Redis was away, and was told later
    actor = models.CharField(max_length=150, blank=True)
    channel = models.CharField(max_length=16)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.what

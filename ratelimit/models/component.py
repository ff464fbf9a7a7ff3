"""The rate limiter's one settings row."""

from django.db import models

from optimizer.control.fields import BooleanSetting, FloatSetting, IntegerSetting
from optimizer.control.models import SettingsModel
from ratelimit.models.tiers import Tier


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

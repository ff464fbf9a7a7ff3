"""The query optimizer's settings row, and what it shall not tell of."""

from django.db import models

from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsModel, SettingsRow


class QueriesSettings(SettingsModel):
    """What is watched, how much of it, and what counts as a finding."""

    component = "queries"

    class Mode(models.TextChoices):
        OFF = "off", "Off: nothing is watched"
        SAMPLED = "sampled", "Sampled: a share, and less when the budget is exceeded"
        ALL = "all", "All: everything, whatever it costs"

    enabled = BooleanSetting(default=True, help_text="Off watches nothing: the kill switch.")
    mode = ChoiceSetting(
        choices=Mode,
        default=Mode.SAMPLED,
        help_text="Which requests, tasks and commands are watched.",
    )
    sample_percent = FloatSetting(
        default=100.0,
        minimum=0.01,
        maximum=100.0,
        unit="percent",
        help_text="Of the units, when sampled: how many are watched. Their counts stand for all.",
    )
    overhead_percent = FloatSetting(
        default=2.0,
        minimum=0.1,
        maximum=50.0,
        unit="percent",
        help_text="When sampled: how much of the units' time watching may take. Each process "
        "watches fewer as soon as it takes more.",
    )
    admins_only = BooleanSetting(
        default=False,
        help_text="Watch only requests of staff who are signed in; tasks and commands as ever.",
    )
    n_plus_one_threshold = IntegerSetting(
        default=3,
        minimum=2,
        maximum=1000,
        unit="queries",
        help_text="How often a query repeats within a unit before it is a finding.",
    )
    slow_query_seconds = FloatSetting(
        default=0.5,
        minimum=0.001,
        maximum=600.0,
        unit="seconds",
        help_text="A single query that takes longer is a finding, in units that are not sampled, "
        "too.",
    )
    flush_seconds = FloatSetting(
        default=5.0,
        minimum=1.0,
        maximum=300.0,
        unit="seconds",
        help_text="How often a process tells what it gathered; a killed one loses that much.",
    )
    keep_days = IntegerSetting(
        default=7,
        minimum=1,
        maximum=90,
        unit="days",
        help_text="How long hourly statistics are kept.",
    )
    cache_least_hit_percent = FloatSetting(
        default=70.0,
        minimum=1.0,
        maximum=99.0,
        unit="percent",
        help_text="A cache is recommended where at least so many reads would hit.",
    )
    cache_longest_ttl_seconds = FloatSetting(
        default=300.0,
        minimum=1.0,
        maximum=7 * 86_400.0,
        unit="seconds",
        help_text="How stale an answer may be: the longest time to live that is recommended.",
    )
    index_advice = BooleanSetting(
        default=True,
        help_text="Let a worker ask the database for the plans of costly queries, and recommend "
        "indexes.",
    )
    index_least_seconds = FloatSetting(
        default=1.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="seconds",
        help_text="A query is looked at for an index once it has taken so long in a day, all "
        "calls together.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "query optimizer settings"


class IgnoreRule(SettingsRow):
    """Findings that are known and meant: by where they are, or by what they ask."""

    component = "queries"
    key_field = "pattern"

    class What(models.TextChoices):
        LOCATION = "location", "the line, as path:line or template:line"
        FINGERPRINT = "fingerprint", "the query's fingerprint"
        UNIT = "unit", "the request, task or command"

    what = ChoiceSetting(
        choices=What, default=What.LOCATION, help_text="What the pattern is compared with."
    )
    pattern = TextSetting(
        max_length=200,
        unique=True,
        pattern=r"\S(?:.*\S)?",
        pattern_hint="a text without blanks around it; * and ? stand for any characters",
        help_text="Such as shop/legacy/*.py:* for all lines of some files.",
    )
    note = TextSetting(
        max_length=200, blank=True, default="", help_text="Why it is meant, for whoever asks."
    )

    class Meta:
        ordering = ("pattern",)
        verbose_name = "ignored pattern"

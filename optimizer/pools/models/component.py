"""The connection pool manager's settings row."""

from optimizer.control.fields import IntegerSetting
from optimizer.control.models import SettingsModel


class PoolsSettings(SettingsModel):
    """What holds for every pool."""

    component = "pools"

    sample_stacks = IntegerSetting(
        default=100,
        minimum=0,
        maximum=1_000_000,
        unit="check-outs",
        help_text="Of one check-out in so many the stack is kept, to name who leaks a connection; "
        "0 keeps none, 1 each (a few microseconds).",
    )
    warn_percent = IntegerSetting(
        default=80,
        minimum=10,
        maximum=100,
        unit="percent",
        help_text="Warn when all processes together may open more than this part of what a "
        "server takes.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "pool settings"

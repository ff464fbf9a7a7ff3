"""The batch processor's settings row."""

from optimizer.control.fields import BooleanSetting, FloatSetting, IntegerSetting
from optimizer.control.models import SettingsModel


class BatchesSettings(SettingsModel):
    """What holds for every job."""

    component = "batches"

    enabled = BooleanSetting(
        default=True, help_text="Off keeps what comes in and writes nothing, until it is on again."
    )
    drain_seconds = FloatSetting(
        default=10.0,
        minimum=0.5,
        maximum=300.0,
        unit="seconds",
        help_text="How long a worker stays with one job before others have their turn.",
    )
    remember_keys_hours = IntegerSetting(
        default=72,
        minimum=1,
        maximum=8760,
        unit="hours",
        help_text="How long an idempotency key is known: sent again within it, an item is not "
        "taken twice.",
    )
    keep_runs_days = IntegerSetting(
        default=30,
        minimum=1,
        maximum=3650,
        unit="days",
        help_text="How long runs and delivered call-backs are kept.",
    )

    class Meta:
        verbose_name = verbose_name_plural = "batch settings"

"""The schedule of a job; django-celery-beat's rows are made from it."""

from typing import Any

from celery.schedules import crontab
from django.core.exceptions import ValidationError
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule
from django_celery_beat.validators import crontab_validator

from optimizer.batches.models.choices import Every, Missed
from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsRow


class Scheduled(SettingsRow):
    """When a job runs by itself."""

    component = "batches"

    schedule = ChoiceSetting(
        choices=Every,
        default=Every.NONE,
        help_text="A run takes all that waits then, and what its source gives.",
    )
    every_seconds = IntegerSetting(
        default=3600,
        minimum=1,
        maximum=31_536_000,
        unit="seconds",
        help_text="From one run to the next, where it runs every so many seconds.",
    )
    crontab = TextSetting(
        max_length=100,
        default="0 3 * * *",
        help_text="Minute, hour, day of the month, month, day of the week.",
    )
    time_zone = TextSetting(
        max_length=63, default="UTC", help_text="Whose clock that is, such as Europe/Berlin."
    )
    schedule_on = BooleanSetting(
        default=True, help_text="Off pauses the schedule; “run now” works all the same."
    )
    only_in_runs = BooleanSetting(
        default=False, help_text="Items wait for the next run, however many and old they are."
    )
    source = TextSetting(
        max_length=100,
        blank=True,
        default="",
        help_text="A registered Python function that gives a run its items.",
    )
    overlap = BooleanSetting(
        default=False, help_text="A run may begin while another one of the job is going on."
    )
    missed = ChoiceSetting(
        choices=Missed,
        default=Missed.RUN,
        help_text="What is done about a run whose time passed while nothing could run.",
    )
    missed_after_seconds = IntegerSetting(
        default=60,
        minimum=1,
        maximum=604_800,
        unit="seconds",
        help_text="A run that begins so much too late counts as missed.",
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        errors: dict[str, Any] = {}
        parts = self.crontab.split()
        try:
            if len(parts) != 5:
                raise ValidationError("must have five parts")
            crontab_validator(self.crontab)
            # It lets some pass that beat cannot count with, or that never come.
            crontab(**crontab_of(self.crontab)).remaining_estimate(timezone.now())
        except (ValidationError, ValueError, RuntimeError) as error:
            says = error.messages[0] if isinstance(error, ValidationError) else str(error)
            errors["crontab"] = f"Must be a crontab of five parts, such as 0 3 * * * ({says})."
        zone = CrontabSchedule._meta.get_field("timezone")
        try:
            zone.clean(self.time_zone, None)
        except ValidationError:
            errors["time_zone"] = "Must be the name of a time zone, such as Europe/Berlin."
        if errors:
            raise ValidationError(errors)


def crontab_of(text: str) -> dict[str, str]:
    """Return the five parts as django-celery-beat names them."""
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return dict(zip(names, text.split(), strict=True))

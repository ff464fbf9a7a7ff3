from django.core.exceptions import ValidationError
from django.db import models

from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)
from optimizer.control.models import SettingsModel, SettingsRow


class SampleSettings(SettingsModel):
    component = "sample"

    budget_bytes = IntegerSetting(
        default=200 * 1024**2, minimum=1024, maximum=1024**4, unit="bytes", help_text="Memory."
    )
    wait_seconds = FloatSetting(
        default=300.0, minimum=0.1, maximum=3600, unit="seconds", help_text="How long to wait."
    )
    workers = IntegerSetting(
        default=2, minimum=1, maximum=64, applies="restart", help_text="How many workers."
    )
    enabled = BooleanSetting(default=True, help_text="On or off.")

    class Meta:
        verbose_name = verbose_name_plural = "sample settings"


class Shelf(SettingsRow):
    component = "sample"

    class Policy(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"

    name = TextSetting(
        max_length=32, unique=True, pattern=r"[a-z-]+", pattern_hint="lower case", help_text="Name."
    )
    size = IntegerSetting(default=10, minimum=1, maximum=100, unit="books", help_text="Room.")
    policy = ChoiceSetting(choices=Policy, default=Policy.OPEN, help_text="What to do.")

    class Meta:
        verbose_name = "shelf"
        verbose_name_plural = "shelves"

    def clean(self) -> None:
        if self.policy == self.Policy.CLOSED and self.size > 50:
            raise ValidationError({"size": "A closed shelf holds at most 50 books."})


class Book(SettingsRow):
    component = "sample"
    key_field = "title"

    title = TextSetting(max_length=64, unique=True, help_text="Title.")
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="books")
    reads = models.IntegerField(default=0, editable=False)
    unrecorded = frozenset({"reads"})

"""Jobs: where items go, in what portions, and what happens when that fails."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from optimizer.batches.models.choices import Action, OnError, PastHighWater, Priority, Sink
from optimizer.batches.models.schedules import Scheduled
from optimizer.control.fields import (
    BooleanSetting,
    ChoiceSetting,
    FloatSetting,
    IntegerSetting,
    TextSetting,
)

MAX_CHUNK = 20_000


class Job(Scheduled):
    """A kind of items and their way: single items in, bulk operations out."""

    name = TextSetting(
        max_length=48,
        unique=True,
        pattern=r"[a-z][a-z0-9_-]*",
        pattern_hint="lower-case letters, digits, - and _, beginning with a letter",
        help_text="Short name, used in the API and in metrics.",
    )
    enabled = BooleanSetting(
        default=True, help_text="Off keeps what comes in and writes nothing: a pause."
    )
    priority = ChoiceSetting(
        choices=Priority, default=Priority.NORMAL, help_text="Which of the workers' queues it uses."
    )
    sink = ChoiceSetting(
        choices=Sink, default=Sink.MODEL, help_text="Where the items go, and with what promise."
    )
    action = ChoiceSetting(
        choices=Action, default=Action.UPSERT, help_text="What is done there (model, MongoDB)."
    )
    model = TextSetting(
        max_length=100, blank=True, default="", help_text="The Django model, such as shop.Product."
    )
    key_fields = TextSetting(
        max_length=300,
        blank=True,
        default="",
        help_text="Fields that tell which row an item is about, separated by commas.",
    )
    fields = models.JSONField(
        default=dict,
        blank=True,
        help_text="Where a name in the item is not the field's: {item's name: field}. "
        "Names that are not listed are fields; null leaves one out.",
    )
    sequence_field = TextSetting(
        max_length=100,
        blank=True,
        default="",
        help_text="A field that only grows: an item with a smaller or the same value is stale and "
        "changes nothing.",
    )
    skip_unchanged = BooleanSetting(
        default=True, help_text="Rows that would stay as they are are not written."
    )
    handler = TextSetting(
        max_length=100,
        blank=True,
        default="",
        help_text="The Python function, by the name it was registered with.",
    )
    collection = TextSetting(
        max_length=120, blank=True, default="", help_text="The MongoDB collection."
    )
    url = TextSetting(
        max_length=500,
        blank=True,
        default="",
        pattern=r"|(https?|balancer)://[^\s]+",
        pattern_hint="an address with http://, https:// or balancer://",
        help_text="Where items are sent over HTTP; balancer://group/path is any backend of the "
        "group.",
    )
    one_request_each = BooleanSetting(
        default=False, help_text="Over HTTP: a request for each item, not one with a list of them."
    )
    timeout_seconds = FloatSetting(
        default=10.0,
        minimum=0.1,
        maximum=300.0,
        unit="seconds",
        help_text="How long one request or bulk write outside the database may take.",
    )
    ordered = BooleanSetting(
        default=False,
        help_text="Items of one ordering key are applied in the order they were accepted.",
    )

    flush_seconds = FloatSetting(
        default=1.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="seconds",
        help_text="Age: an item waits for others so long at most. 0 waits for none.",
    )
    idle_seconds = FloatSetting(
        default=0.2,
        minimum=0.0,
        maximum=3600.0,
        unit="seconds",
        help_text="Idle: when nothing has come for so long, what is there is written.",
    )
    flush_bytes = IntegerSetting(
        default=4 * 1024**2,
        minimum=1024,
        maximum=64 * 1024**2,
        unit="bytes",
        help_text="Bytes: a chunk that has so many is written, and holds no more.",
    )
    chunk_items = IntegerSetting(
        default=500,
        minimum=1,
        maximum=MAX_CHUNK,
        unit="items",
        help_text="Size: a chunk that is full is written. With adaptive chunks only the first one.",
    )
    adaptive = BooleanSetting(
        default=True, help_text="Find the chunk size by how long chunks take (AIMD)."
    )
    least_chunk_items = IntegerSetting(
        default=50,
        minimum=1,
        maximum=MAX_CHUNK,
        unit="items",
        help_text="Adaptive chunks are never smaller.",
    )
    most_chunk_items = IntegerSetting(
        default=5000,
        minimum=1,
        maximum=MAX_CHUNK,
        unit="items",
        help_text="Adaptive chunks are never larger.",
    )
    target_seconds = FloatSetting(
        default=0.2,
        minimum=0.01,
        maximum=60.0,
        unit="seconds",
        help_text="Adaptive: how long a chunk may take.",
    )

    max_attempts = IntegerSetting(
        default=8,
        minimum=1,
        maximum=1000,
        unit="attempts",
        help_text="After so many that failed by no fault of its own, an item is a dead letter. "
        "While the database is away none are counted.",
    )
    backoff_seconds = FloatSetting(
        default=1.0,
        minimum=0.01,
        maximum=3600.0,
        unit="seconds",
        help_text="Longest wait before the second attempt; it doubles with each (full jitter).",
    )
    max_backoff_seconds = FloatSetting(
        default=300.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="seconds",
        help_text="Longest wait before any attempt.",
    )
    lease_seconds = IntegerSetting(
        default=120,
        minimum=2,
        maximum=86_400,
        unit="seconds",
        help_text="Outside the database: what a worker took and does not finish in this time is "
        "given to another.",
    )
    on_error = ChoiceSetting(
        choices=OnError,
        default=OnError.SKIP,
        help_text="What an item that cannot be applied does to the job.",
    )
    skip_limit = IntegerSetting(
        default=1000,
        minimum=0,
        maximum=10_000_000,
        unit="items",
        help_text="So many dead letters since the job was last resumed stop it. 0 never does.",
    )

    high_water_items = IntegerSetting(
        default=100_000,
        minimum=1,
        maximum=100_000_000,
        unit="items",
        help_text="With so many waiting the job is full.",
    )
    low_water_items = IntegerSetting(
        default=50_000,
        minimum=0,
        maximum=100_000_000,
        unit="items",
        help_text="It takes items again once no more than this wait.",
    )
    high_water_seconds = FloatSetting(
        default=0.0,
        minimum=0.0,
        maximum=604_800.0,
        unit="seconds",
        help_text="With an item waiting so long the job is full too. 0 does not look at it.",
    )
    past_high_water = ChoiceSetting(
        choices=PastHighWater,
        default=PastHighWater.REFUSE,
        help_text="What happens to items that come while the job is full.",
    )
    max_wait_seconds = FloatSetting(
        default=5.0,
        minimum=0.0,
        maximum=300.0,
        unit="seconds",
        help_text="How long submit() waits at most, where it waits.",
    )
    callback_url = TextSetting(
        max_length=500,
        blank=True,
        default="",
        pattern=r"|https?://[^\s]+",
        pattern_hint="an address with http:// or https://",
        help_text="A signed message is sent there when a run ends and when the inbox is empty.",
    )
    callback_task = TextSetting(
        max_length=200,
        blank=True,
        default="",
        help_text="A Celery task that is sent the same message.",
    )

    class Meta:
        verbose_name = "batch job"
        ordering = ("name",)
        constraints = [
            models.CheckConstraint(
                condition=Q(least_chunk_items__lte=F("most_chunk_items")),
                name="batches_job_chunk_bounds",
                violation_error_message="least_chunk_items: must not exceed most_chunk_items.",
            ),
            models.CheckConstraint(
                condition=Q(low_water_items__lt=F("high_water_items")),
                name="batches_job_water_marks",
                violation_error_message="low_water_items: must be less than high_water_items.",
            ),
            models.CheckConstraint(
                condition=Q(backoff_seconds__lte=F("max_backoff_seconds")),
                name="batches_job_backoff",
                violation_error_message="backoff_seconds: must not exceed max_backoff_seconds.",
            ),
        ]

    @property
    def keys(self) -> tuple[str, ...]:
        """The key fields, in order."""
        return tuple(one.strip() for one in self.key_fields.split(",") if one.strip())

    def clean(self) -> None:
        super().clean()
        errors: dict[str, Any] = dict(self._missing())
        if self.lease_seconds <= self.timeout_seconds and self.sink != Sink.MODEL:
            errors["lease_seconds"] = "Must be longer than the time-out."
        if errors:
            raise ValidationError(errors)

    def _missing(self) -> dict[str, str]:
        """Return what the sink needs and the row lacks."""
        needed = {
            Sink.MODEL: ("model",),
            Sink.HANDLER: ("handler",),
            Sink.MONGODB: ("collection",),
            Sink.HTTP: ("url",),
        }[Sink(self.sink)]
        missing = {name: "Is needed for this sink." for name in needed if not getattr(self, name)}
        with_key = self.sink in (Sink.MODEL, Sink.MONGODB) and self.action != Action.INSERT
        if with_key and not self.keys:
            missing["key_fields"] = "Are needed to find the rows."
        if not isinstance(self.fields, dict) or not all(
            isinstance(value, str | None) for value in self.fields.values()
        ):
            missing["fields"] = 'Must be an object of names, such as {"item name": "field"}.'
        return missing

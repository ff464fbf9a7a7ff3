"""The form of a job: its fields in groups, what is shown when, and whether it fits the project."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput

from optimizer.batches.services.validation import MAY_BE_ELSEWHERE, may_write, problems
from optimizer.control.forms import SettingsForm

FIELDSETS = (
    (None, {"fields": ("name", "enabled", "priority")}),
    (
        "Where items go",
        {
            "fields": (
                "sink", "handler", "url", "one_request_each", "collection", "model", "action",
                "key_fields", "fields", "sequence_field", "skip_unchanged", "ordered",
                "timeout_seconds",
            )
        },
    ),
    (
        "Portions",
        {
            "fields": (
                "chunk_items", "flush_bytes", "flush_seconds", "idle_seconds", "adaptive",
                "target_seconds", "least_chunk_items", "most_chunk_items",
            )
        },
    ),
    (
        "Errors and retries",
        {
            "fields": (
                "on_error", "skip_limit", "max_attempts", "backoff_seconds",
                "max_backoff_seconds", "lease_seconds",
            )
        },
    ),
    (
        "Back pressure",
        {
            "fields": (
                "past_high_water", "max_wait_seconds", "high_water_items", "low_water_items",
                "high_water_seconds",
            )
        },
    ),
    (
        "Schedule",
        {
            "fields": (
                "schedule", "every_seconds", "crontab", "time_zone", "schedule_on", "missed",
                "missed_after_seconds", "source", "overlap", "only_in_runs",
            )
        },
    ),
    ("Call-backs", {"fields": ("callback_url", "callback_task")}),
    ("Names that this process does not know", {"fields": ("workers_know",)}),
)  # fmt: skip
# Expressions of the form's own fields: what does not apply is hidden, not lost.
SHOWN_IF = {
    "handler": "sink == 'handler'",
    "url": "sink == 'http'",
    "one_request_each": "sink == 'http'",
    "collection": "sink == 'mongodb'",
    "model": "sink == 'model'",
    "action": "sink == 'model' || sink == 'mongodb'",
    "key_fields": "(sink == 'model' || sink == 'mongodb') && action != 'insert'",
    "fields": "sink == 'model' || sink == 'mongodb'",
    "sequence_field": "(sink == 'model' || sink == 'mongodb')"
    " && (action == 'upsert' || action == 'update')",
    "skip_unchanged": "sink == 'model' && (action == 'upsert' || action == 'update')",
    "timeout_seconds": "sink != 'model'",
    "target_seconds": "adaptive",
    "least_chunk_items": "adaptive",
    "most_chunk_items": "adaptive",
    "max_wait_seconds": "past_high_water == 'wait'",
    "every_seconds": "schedule == 'interval'",
    "crontab": "schedule == 'crontab'",
    "time_zone": "schedule == 'crontab'",
    "schedule_on": "schedule != 'none'",
    "missed": "schedule != 'none'",
    "missed_after_seconds": "schedule != 'none' && missed == 'skip'",
}


class NamesField(forms.JSONField):
    """JSON that comes back as it was written even where no page could hold its characters.

    Python's reader gives up at what is nested very deep and at very long numbers.
    """

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (ValueError, RecursionError) as error:
            raise ValidationError("Enter a valid JSON.", code="invalid") from error

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            return super().bound_data(data, initial)
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        text = super().prepare_value(value)
        try:
            str(text).encode()
        except UnicodeEncodeError:
            return json.dumps(value)
        return text


class JobForm(SettingsForm):
    """A job's settings, checked against the project too."""

    workers_know = forms.BooleanField(
        label="The workers know it",
        required=False,
        help_text="Save a handler or source that this process does not know. Until a worker "
        "knows it, the job waits.",
    )
    user: Any = None

    class Meta:
        field_classes = {"fields": NamesField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "fields" in self.fields:  # who may only look has none
            self.fields["fields"].widget.attrs["rows"] = 3

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return  # first what holds for the row alone
        found = problems(self.instance)
        if self.cleaned_data.get("workers_know"):
            found = {name: says for name, says in found.items() if name not in MAY_BE_ELSEWHERE}
        for name, says in found.items():
            if name in MAY_BE_ELSEWHERE:
                says += " If a worker knows it, tick “The workers know it”."
            self.add_error(name if name in self.fields else None, says)
        chosen_anew = bool({"model", "action", "sink"} & set(self.changed_data))
        if not found and chosen_anew and not may_write(self.user, self.instance):
            self.add_error("model", "You may not do this to its rows yourself.")

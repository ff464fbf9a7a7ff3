"""The rows of document indexes."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString

from optimizer.control.admin_base import SettingsRowAdmin
from optimizer.control.forms import SettingsForm
from optimizer.operations.models import DocumentIndex
from optimizer.operations.pages.words import badge
from optimizer.operations.services.index_specs import options_of, spec_of


class ObjectField(forms.JSONField):
    """A JSON object, or nothing: shown as an empty field."""

    widget = forms.Textarea(attrs={"rows": 2, "class": "tu-input"})

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class DocumentIndexForm(SettingsForm):
    """A row, with what its JSON fields are for."""

    partial_filter = ObjectField(
        required=False, help_text=DocumentIndex._meta.get_field("partial_filter").help_text
    )
    collation = ObjectField(
        required=False, help_text=DocumentIndex._meta.get_field("collation").help_text
    )


@admin.register(DocumentIndex)
class DocumentIndexAdmin(SettingsRowAdmin):
    """Which indexes collections are to have."""

    form = DocumentIndexForm
    list_display = ("name", "place", "keys", "options", "shown_enabled", "source")
    list_filter = ("enabled", "source", "collection")
    search_fields = ("name", "collection", "keys")
    fieldsets = (
        (None, {"fields": ("name", "database", "collection", "keys", "enabled", "reason")}),
        (
            "Options",
            {
                "fields": (
                    "unique", "sparse", "expire_after_seconds", "partial_filter", "collation",
                )
            },
        ),
    )  # fmt: skip

    @admin.display(description="collection", ordering="collection")
    def place(self, row: DocumentIndex) -> str:
        return f"{row.database}.{row.collection}" if row.database else row.collection

    @admin.display(description="options")
    def options(self, row: DocumentIndex) -> str:
        return ", ".join(options_of(spec_of(row))) or "—"

    @admin.display(description="wanted", ordering="enabled")
    def shown_enabled(self, row: DocumentIndex) -> SafeString:
        return badge("yes", "ok") if row.enabled else badge("off", "quiet")

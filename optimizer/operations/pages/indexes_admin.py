"""The rows of document indexes."""

from django.contrib import admin
from django.utils.safestring import SafeString

from optimizer.control.admin_base import SettingsRowAdmin
from optimizer.control.units import format_amount
from optimizer.operations.models import DocumentIndex
from optimizer.operations.pages.words import badge


@admin.register(DocumentIndex)
class DocumentIndexAdmin(SettingsRowAdmin):
    """Which indexes collections are to have."""

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
        told = [name for name in ("unique", "sparse") if getattr(row, name)]
        if row.expire_after_seconds is not None:
            told.append(f"expires after {format_amount(row.expire_after_seconds, 'seconds')}")
        told += ["partial"] if row.partial_filter else []
        told += ["collation"] if row.collation else []
        return ", ".join(told) or "—"

    @admin.display(description="wanted", ordering="enabled")
    def shown_enabled(self, row: DocumentIndex) -> SafeString:
        return badge("yes", "ok") if row.enabled else badge("off", "quiet")

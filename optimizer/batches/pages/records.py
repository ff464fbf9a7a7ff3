"""What is kept of the work, as lists to look at: runs, call-backs, items that wait."""

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.safestring import SafeString

from optimizer.batches.models import Callback, Item, Run
from optimizer.batches.pages import words
from optimizer.batches.services import callbacks
from optimizer.control.templatetags.tuneup import ago, count
from optimizer.control.unfold import ModelAdmin
from optimizer.control.units import format_duration

EXCERPT = 80
_MOST_COUNTED = 10_000


class RecordAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """What is only looked at."""

    list_per_page = 50
    show_full_result_count = False
    list_select_related = ("job",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(RecordAdmin):
    """Runs: when, by whom, how far, how they ended."""

    list_display = ("started", "job", "trigger", "actor", "shown_state", "far", "took", "message")
    list_filter = ("job", "state", "trigger", "started_at")
    search_fields = ("actor", "message")

    @admin.display(description="began", ordering="started_at")
    def started(self, run: Run) -> str:
        return ago(run.started_at)

    @admin.display(description="state", ordering="state")
    def shown_state(self, run: Run) -> SafeString:
        return words.badge(run.get_state_display(), words.RUN_COLOURS.get(run.state, "quiet"))

    @admin.display(description="done")
    def far(self, run: Run) -> SafeString:
        settled = run.done + run.failed
        fraction = settled / run.total if run.total else float(run.state == "done")
        failed = f", {count(run.failed)} failed" if run.failed else ""
        label = f"{count(settled)} of {count(run.total)}{failed}"
        return words.bar(fraction, "wait" if run.failed else "ok", label)

    @admin.display(description="took")
    def took(self, run: Run) -> str:
        ended = run.finished_at or timezone.now()
        return format_duration((ended - run.started_at).total_seconds())


@admin.register(Callback)
class CallbackAdmin(RecordAdmin):
    """Call-backs: what was told, and what waits."""

    list_display = ("made", "job", "event", "shown_state", "attempts", "error")
    list_filter = ("job", "event", ("delivered_at", admin.EmptyFieldListFilter))
    search_fields = ("error",)
    actions = ("try_again",)

    @admin.display(description="made", ordering="created_at")
    def made(self, row: Callback) -> str:
        return ago(row.created_at)

    @admin.display(description="state")
    def shown_state(self, row: Callback) -> SafeString:
        if row.delivered_at is not None:
            return words.badge(f"arrived {ago(row.delivered_at)}", "ok")
        if row.attempts >= callbacks.MAX_ATTEMPTS:
            return words.badge("given up", "bad")
        return words.badge("waits", "wait" if row.attempts else "plain")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Say whether a person may act on call-backs, though nobody edits them."""
        return request.user.has_perm("batches.change_callback")

    @admin.action(description="Try again now", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Callback]) -> None:
        """Have them sent with the next sweep, within seconds."""
        pks = list(queryset.filter(delivered_at=None).values_list("pk", flat=True))
        number = Callback.objects.filter(pk__in=pks, delivered_at=None).update(
            attempts=0, available_at=timezone.now()
        )
        said = f"{number} call-back{'' if number == 1 else 's'} will be tried within seconds."
        messages.success(request, said)


class BoundedPaginator(Paginator):
    """Pages of a table that may be very long: it counts no further than 10,000 rows."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by("pk")[:_MOST_COUNTED].count())


@admin.register(Item)
class ItemAdmin(RecordAdmin):
    """Items that wait, the oldest first."""

    list_display = ("number", "job", "key", "excerpt", "attempts", "sent", "due")
    list_filter = ("job",)
    ordering = ("id",)
    sortable_by = ()
    paginator = BoundedPaginator
    list_before_template = "tuneup/batches_items_note.html"
    search_fields = ("key",)
    search_help_text = "A whole idempotency key"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Item]:
        rows: QuerySet[Item] = super().get_queryset(request)
        return rows.annotate(head=Left("payload", EXCERPT)).defer("payload")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Item], search_term: str
    ) -> tuple[QuerySet[Item], bool]:
        term = search_term.strip()
        return (queryset.filter(key=term) if term else queryset), False

    @admin.display(description="item")
    def number(self, row: Item) -> str:
        return str(row.pk)

    @admin.display(description="holds")
    def excerpt(self, row: Any) -> str:
        return short(row.head, EXCERPT - 1)

    @admin.display(description="sent")
    def sent(self, row: Item) -> str:
        return ago(row.created_at)

    @admin.display(description="is taken")
    def due(self, row: Item) -> str:
        wait = (row.available_at - timezone.now()).total_seconds()
        return "when it is due" if wait <= 0 else f"in {format_duration(wait)} at the earliest"


def short(text: str, most: int) -> str:
    """Return a text for a list, cut where it is too long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"

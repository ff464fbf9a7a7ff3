"""Dead letters in the admin: listed, searched, edited, replayed, discarded."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from optimizer.batches.models import Asked, DeadLetter
from optimizer.batches.pages import letters
from optimizer.batches.pages.records import EXCERPT, short
from optimizer.batches.selectors import dead_letters as selectors
from optimizer.batches.services import dead_letters
from optimizer.control.templatetags.tuneup import ago
from optimizer.control.unfold import ModelAdmin


class SinceFilter(admin.SimpleListFilter):
    """By the time that it failed."""

    title, parameter_name = "failed", "failed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "in the last hour"), ("24", "in 24 hours"), ("168", "in 7 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("1", "24", "168"):
            return queryset
        since = timezone.now() - timedelta(hours=int(self.value() or 0))
        return queryset.filter(failed_at__gte=since)


class ErrorFilter(admin.SimpleListFilter):
    """By the type of the error."""

    title, parameter_name = "error", "error_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = DeadLetter.objects.order_by("error_type").values_list("error_type", flat=True)
        return [(one, one) for one in kinds.distinct()[:50]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        known = {one for one, _ in self.lookup_choices}
        return queryset.filter(error_type=value) if value in known else queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Items that could not be applied: looked at, edited, replayed, discarded."""

    list_display = (
        "failed",
        "shown_job",
        "error_type",
        "shown_error",
        "excerpt",
        "key",
        "attempts",
    )
    list_filter = ("job", ErrorFilter, SinceFilter)
    list_per_page = 50
    list_select_related = ("job",)
    show_full_result_count = False
    list_before_template = "tuneup/batches_letters_note.html"
    search_fields = ("key", "payload", "error", "error_type")
    search_help_text = "Part of the item, of its idempotency key or of the error"
    actions = ("replay", "discard")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # `discard` counts, and loads nothing to show it
        return actions

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        rows: QuerySet[DeadLetter] = super().get_queryset(request)
        return rows.annotate(head=Left("payload", EXCERPT)).defer("payload")

    @admin.display(description="failed", ordering="failed_at")
    def failed(self, row: DeadLetter) -> str:
        return ago(row.failed_at)

    @admin.display(description="job", ordering="job__name")
    def shown_job(self, row: DeadLetter) -> str:
        return row.job.name

    @admin.display(description="says")
    def shown_error(self, row: DeadLetter) -> str:
        return short(row.error, 120)

    @admin.display(description="item")
    def excerpt(self, row: Any) -> str:
        return short(row.head, EXCERPT - 1)

    @admin.action(description="Replay", permissions=["change"])
    def replay(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        done = dead_letters.settle(queryset, Asked.REPLAY)
        self._log(request, CHANGE, f"{_letters(done.done or done.waiting)} replayed")
        if done.waiting:
            messages.info(request, f"Workers put {_letters(done.waiting)} back into the inbox.")
        else:
            messages.success(request, f"{_letters(done.done)} back in the inbox.")

    @admin.action(description="Discard…", permissions=["delete"])
    def discard(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        if request.POST.get("confirm") != "1":
            context = {
                **self.admin_site.each_context(request),
                "title": "Discard dead letters",
                "count": queryset.order_by().count(),
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "checkbox": ACTION_CHECKBOX_NAME,
                "across": request.POST.get("select_across") == "1",
            }
            return TemplateResponse(request, "tuneup/batches_discard.html", context)
        done = dead_letters.settle(queryset, Asked.DISCARD)
        self._log(request, DELETION, f"{_letters(done.done or done.waiting)} discarded")
        if done.waiting:
            messages.info(request, f"Workers discard {_letters(done.waiting)}.")
        else:
            messages.success(request, f"{_letters(done.done)} discarded.")
        return None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, and above it what workers still have to do of it."""
        asked = {"asked": selectors.asked()}
        return super().changelist_view(request, asked | (extra_context or {}))  # type: ignore[no-any-return]

    def delete_model(self, request: HttpRequest, obj: DeadLetter) -> None:
        dead_letters.discard([obj.pk])

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one dead letter; save it, replay it or discard it as its buttons say."""
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            if request.method == "POST":
                messages.warning(request, "It is gone: somebody has replayed or discarded it.")
                return redirect("admin:batches_deadletter_changelist")
            raise Http404("There is no such dead letter.")
        may_change = self.has_change_permission(request, row)
        may_discard = self.has_delete_permission(request, row)
        form = letters.LetterForm(row)
        if request.method == "POST":
            discards = "discard" in request.POST
            if not (may_discard if discards else may_change):
                raise PermissionDenied
            if discards:
                number = dead_letters.discard([row.pk])
                self._log(request, DELETION, f"{_letters(number)} discarded", row)
                messages.success(request, f"{_letters(number)} discarded.")
                return redirect("admin:batches_deadletter_changelist")
            form = letters.LetterForm(row, request.POST)
            if form.is_valid():
                return self._saved(request, row, form.cleaned_data["payload"])
        base = self.admin_site.each_context(request)
        return letters.letter(
            request, base, row, form, may_change=may_change, may_discard=may_discard
        )

    def _saved(self, request: HttpRequest, row: DeadLetter, payload: str) -> HttpResponse:
        replays = "replay" in request.POST
        with transaction.atomic():
            stored = payload == row.payload or dead_letters.edit(row, payload)
            number = dead_letters.replay([row.pk]) if stored and replays else 0
        if not stored or (replays and not number):
            messages.warning(request, "Somebody else was quicker: nothing was done.")
            return redirect("admin:batches_deadletter_changelist")
        if payload != row.payload:
            self._log(request, CHANGE, "Item edited", row)
        if not replays:
            messages.success(request, "The item is saved. It waits here until it is replayed.")
            return redirect("admin:batches_deadletter_change", row.pk)
        self._log(request, CHANGE, f"{_letters(number)} replayed", row)
        messages.success(request, f"{_letters(number)} back in the inbox of {row.job.name}.")
        return redirect("admin:batches_deadletter_changelist")

    def _log(
        self, request: HttpRequest, flag: int, message: str, row: DeadLetter | None = None
    ) -> None:
        # One entry for many: an entry for each would be as much work as the items themselves.
        LogEntry.objects.create(
            user_id=int(request.user.pk or 0),
            content_type=ContentType.objects.get_for_model(DeadLetter),
            object_id=str(row.pk) if row else None,
            object_repr=str(row if row else message)[:200],
            action_flag=flag,
            change_message=message,
        )


def _letters(number: int) -> str:
    return f"{number} dead letter{'' if number == 1 else 's'}"

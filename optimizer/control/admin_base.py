"""The bases of every settings page in the admin: one form, one revision, who obeys it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.control import selectors
from optimizer.control.fields import FloatSetting, IntegerSetting
from optimizer.control.forms import AmountField, SettingsForm, SettingsFormSet, keep_options
from optimizer.control.models import Revision
from optimizer.control.revisions import change
from optimizer.control.unfold import ModelAdmin, TabularInline

CHANGE_FIELDS = ("change_reason", "change_keep")


class AmountsMixin:
    """Give number settings an input that takes units."""

    def formfield_for_dbfield(
        self, db_field: models.Field, request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if isinstance(db_field, IntegerSetting | FloatSetting):
            return AmountField(
                setting=db_field,
                label=str(db_field.verbose_name).capitalize(),
                help_text=db_field.help_text,
                initial=db_field.get_default(),
                required=not db_field.blank,
            )
        field: forms.Field | None = super().formfield_for_dbfield(  # type: ignore[misc]
            db_field, request, **kwargs
        )
        return field


class SettingsInline(AmountsMixin, TabularInline):
    """Rows that are edited with the row they belong to."""

    extra = 0
    formset = SettingsFormSet


class SettingsRowAdmin(AmountsMixin, ModelAdmin):
    """The page of one settings row with its inlines: saved together, reverted together."""

    form = SettingsForm
    change_form_template = "tuneup/settings_form.html"
    warn_unsaved_form = True

    def page(
        self, show: Callable[..., HttpResponse], *, changes: bool = False
    ) -> Callable[..., HttpResponse]:
        """Return the view of a page beside the form, for whoever may see the settings.

        `show` gets the request, the site's context with `may_change` in it, and what the path
        gives. `changes` asks for the permission to change.
        """

        def view(request: HttpRequest, **given: Any) -> HttpResponse:
            may_change = self.has_change_permission(request)
            if not (may_change if changes else self.has_view_permission(request)):
                raise PermissionDenied
            context = {**self.admin_site.each_context(request), "may_change": may_change}
            return show(request, context, **given)

        return self.admin_site.admin_view(view)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        names = [
            name
            for name in self.get_fields(request, obj)
            if name not in (*CHANGE_FIELDS, "change_base")
        ]
        change_set = {"fields": [CHANGE_FIELDS], "description": ""}
        if self.fieldsets:
            return [*self.fieldsets, ("This change", change_set)]
        return [(None, {"fields": names}), ("This change", change_set)]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method != "POST":
            context = {**(extra_context or {}), **self._panel(request)}
            return super().changeform_view(request, object_id, form_url, context)
        with change(
            self.model.component,
            reason=request.POST.get("change_reason", ""),
            **keep_options(request.POST.get("change_keep", "")),
        ) as recorder:
            context = {**(extra_context or {}), "base_revision": selectors.head_revision()}
            response = super().changeform_view(request, object_id, form_url, context)
        pk = getattr(request, "_saved_pk", None)
        goes_on = "_addanother" in request.POST or "_popup" in request.POST
        if isinstance(response, HttpResponseRedirect) and pk is not None and not goes_on:
            # Back to the same page, which shows who obeys already.
            number = recorder.revision.number if recorder.revision is not None else ""
            return redirect(f"{self._url('change', pk)}?revision={number}")
        return response

    def _panel(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = {"base_revision": selectors.head_revision()}
        number = request.GET.get("revision", "")
        if number.isdecimal() and len(number) < 19:
            found = Revision.objects.filter(pk=int(number)).exists()
            context["propagation"] = selectors.propagation(int(number)) if found else None
        return context

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        request._saved_pk = obj.pk  # type: ignore[attr-defined]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the revisions that touched this row."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        pages = Paginator(selectors.revisions_of(row), 20)
        page = pages.get_page(request.GET.get("page"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {row}",
            "opts": self.opts,
            "object": row,
            "page": page,
            "entries": [(one, selectors.differences(one)) for one in page],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "tuneup/history.html", context)

    def _url(self, name: str, *arguments: Any) -> str:
        info = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(f"{self.admin_site.name}:{info}", args=arguments)


class SettingsAdmin(SettingsRowAdmin):
    """The one page of a component's settings; the list leads straight to it."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        return self.model.load() if object_id == "1" else None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return redirect(self._url("change", 1))

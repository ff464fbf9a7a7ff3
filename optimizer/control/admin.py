"""The kernel's pages: its settings, API keys, and the revisions of everything."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from optimizer.control import keys, registry, selectors
from optimizer.control.admin_base import SettingsAdmin, SettingsRowAdmin
from optimizer.control.forms import SettingsForm
from optimizer.control.models import ApiKey, ControlSettings, Revision
from optimizer.control.revisions import (
    RevertRefused,
    change,
    confirm,
    plan_revert,
    revert,
)
from optimizer.control.unfold import ModelAdmin, UnfoldAdminCheckboxSelectMultipleWidget


@admin.register(ControlSettings)
class ControlSettingsAdmin(SettingsAdmin):
    """How processes follow the settings."""


class ApiKeyForm(SettingsForm):
    """A key's name, scopes and end."""

    scopes = forms.MultipleChoiceField(
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="What the key may call; * is everything.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(one.name, one.title) for one in registry.components()]
        scopes: Any = self.fields["scopes"]
        scopes.choices = [(keys.ALL_SCOPES, "Everything (*)"), *names]


@admin.register(ApiKey)
class ApiKeyAdmin(SettingsRowAdmin):
    """Keys of bots; the token is shown once, when the key is made."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "scope_names", "active", "expires_at", "last_used_at")
    list_filter = ("active",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)
    readonly_fields = ("prefix", "created_at", "created_by", "last_used_at")

    @admin.display(description="scopes")
    def scope_names(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if not change:
            token = keys.new_token()
            obj.prefix, obj.digest = token.split("_")[1], keys.digest(token)
            obj.created_by = request.user  # type: ignore[assignment]
            says = "The key is shown only now, copy it: <code class='tu-token'>{}</code>"
            messages.warning(request, format_html(says, token))
        super().save_model(request, obj, form, change)

    @admin.action(description="Revoke: stop at once, everywhere", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        with change("control", reason="Revoked in the admin"):
            count = queryset.update(active=False)
        messages.success(request, f"{count} key(s) revoked.")


@admin.register(Revision)
class RevisionAdmin(ModelAdmin):
    """Every change of every setting, to look at and to revert."""

    list_display = ("number", "created_at", "component", "actor", "channel", "what", "reason")
    list_filter = ("component", "channel")
    search_fields = ("actor", "reason", "request_id")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="what")
    def what(self, revision: Revision) -> str:
        return selectors.in_words(revision, most=2)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<int:number>/processes/", view(self.processes), name="control_processes"),
            path("<int:number>/revert/", view(self.revert), name="control_revert"),
            path("<int:number>/confirm/", view(require_POST(self.confirm)), name="control_confirm"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one revision whole."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        revision = self.get_object(request, object_id)
        if revision is None:
            raise Http404
        return self._page(request, "tuneup/history.html", revision, f"Revision {revision.number}")

    def processes(self, request: HttpRequest, number: int) -> HttpResponse:
        """Return the panel of who obeys, for the page to refresh itself."""
        get_object_or_404(Revision, pk=number)
        panel = {"propagation": selectors.propagation(number)}
        return render(request, "tuneup/propagation.html", panel)

    def revert(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show what a revert would change, and on POST do it."""
        revision = get_object_or_404(Revision, pk=number)
        self._may_change(request, revision)
        if request.method == "POST":
            try:
                made = revert(
                    number,
                    on_conflict="force" if "force" in request.POST else "refuse",
                    reason=request.POST.get("reason", ""),
                )
            except (RevertRefused, ValidationError) as error:
                for says in getattr(error, "messages", None) or [str(error)]:
                    messages.error(request, f"Nothing was reverted: {says}")
            else:
                messages.success(
                    request,
                    f"Revision {number} is reverted." if made else "Nothing differed any more.",
                )
                where = made.number if made is not None else number
                return redirect(f"{self._change_url(where)}?revision={where}")
        conflicts = plan_revert(revision, "refuse")[1]
        title = f"Revert revision {number}"
        return self._page(request, "tuneup/revert.html", revision, title, conflicts=conflicts)

    def confirm(self, request: HttpRequest, number: int) -> HttpResponse:
        """Keep a change that would revert itself."""
        revision = get_object_or_404(Revision, pk=number)
        self._may_change(request, revision)
        if confirm(number):
            messages.success(request, f"Revision {number} stays.")
        else:
            messages.info(request, "There was nothing to confirm any more.")
        return redirect(f"{self._change_url(number)}?revision={number}")

    def _page(
        self, request: HttpRequest, template: str, revision: Revision, title: str, **more: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "entries": [(revision, selectors.differences(revision))],
            "revision": revision,
            "propagation": selectors.propagation(revision.number),
            **more,
        }
        return TemplateResponse(request, template, context)

    def _may_change(self, request: HttpRequest, revision: Revision) -> None:
        """Refuse who could not do by hand what the revert would do."""
        for label in {**revision.before, **revision.after}:
            before, after = revision.before.get(label, {}), revision.after.get(label, {})
            verbs = {"change"}
            verbs |= {"delete"} if after.keys() - before.keys() else set()
            verbs |= {"add"} if before.keys() - after.keys() else set()
            app, _, model = label.partition(".")
            if not all(request.user.has_perm(f"{app}.{verb}_{model}") for verb in verbs):
                raise PermissionDenied

    def _change_url(self, number: int) -> str:
        return reverse(f"{self.admin_site.name}:control_revision_change", args=(number,))

"""The batch processor's pages: what holds for every job, and each job with its figures."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from optimizer.batches.live import live_job
from optimizer.batches.models import AcceptedKey, BatchesSettings, DeadLetter, Item, Job, Run
from optimizer.batches.pages import jobs, letters_admin, live, records, words
from optimizer.batches.pages.job_form import FIELDSETS, SHOWN_IF, JobForm
from optimizer.batches.selectors import activity, progress, progress_of_all
from optimizer.batches.selectors.promises import promise_of
from optimizer.batches.services import resuming, schedules
from optimizer.control.admin_base import SettingsAdmin, SettingsRowAdmin
from optimizer.control.templatetags.tuneup import ago, count

__all__ = ["BatchesSettingsAdmin", "JobAdmin", "letters_admin", "records"]
_MOST_COUNTED = 10_000


@admin.register(BatchesSettings)
class BatchesSettingsAdmin(SettingsAdmin):
    """What holds for every job; and the live page."""

    fieldsets = (
        (None, {"fields": ("enabled", "drain_seconds")}),
        ("What is kept", {"fields": ("remember_keys_hours", "keep_runs_days")}),
    )

    def get_urls(self) -> list[URLPattern]:
        return [
            path("live/", self.page(live.live), name="batches_live"),
            path("live/fragment/", self.page(live.fragment), name="batches_live_fragment"),
            *super().get_urls(),
        ]


@admin.register(Job)
class JobAdmin(SettingsRowAdmin):
    """Jobs: their settings, how far they are, and what is done to them."""

    form = JobForm
    change_form_template = "tuneup/batches_job_form.html"
    list_display = (
        "name",
        "shown_state",
        "shown_progress",
        "pace",
        "shown_letters",
        "runs_shown",
        "sink_shown",
    )
    list_filter = ("enabled", "sink", "schedule")
    search_fields = ("name", "model", "handler", "collection", "url")
    actions = ("run", "pause", "go_on", "resume", "measure")
    fieldsets = FIELDSETS
    conditional_fields = SHOWN_IF

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        form.user = request.user
        return form

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        last = Run.objects.filter(job_id=OuterRef("pk")).order_by("-pk")
        rows: QuerySet[Job] = super().get_queryset(request)
        return rows.annotate(
            last_run_at=Subquery(last.values("started_at")[:1]),
            last_run_state=Subquery(last.values("state")[:1]),
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list; what moves of all jobs is read at once."""
        request._progress = {one.job: one for one in progress_of_all()}  # type: ignore[attr-defined]
        request._next_runs = schedules.next_runs()  # type: ignore[attr-defined]
        return super().changelist_view(request, extra_context)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        every = getattr(request, "_progress", {})
        upcoming = getattr(request, "_next_runs", {})
        for job in found.result_list:
            job.live = live_job(job)
            job.found = every.get(job.name) or progress(job.live)
            job.next_run_at = upcoming.get(job.name)
        return found

    @admin.display(description="state")
    def shown_state(self, job: Any) -> SafeString:
        state = activity.shown_state(job.live, job.found)
        return format_html(
            '<a href="{}" title="{}">{}</a>',
            reverse("admin:batches_job_status", args=(job.pk,)),
            job.found.because or "How far it is",
            words.badge(words.STATE_WORDS[state], words.STATE_COLOURS[state]),
        )

    @admin.display(description="done and left")
    def shown_progress(self, job: Any) -> SafeString:
        found = job.found
        label = f"{count(found.done + found.failed)} done, {count(found.left)} left"
        return words.bar(found.fraction, "ok" if not found.left else "plain", label)

    @admin.display(description="rate, time to go")
    def pace(self, job: Any) -> SafeString:
        found = job.found
        return format_html(
            '{}<br><span class="tu-muted">{}</span>',
            words.rate_text(found.rate_per_second),
            f"{words.eta_text(found)} to go" if found.left else "nothing to do",
        )

    @admin.display(description="dead letters")
    def shown_letters(self, job: Any) -> str | SafeString:
        if not job.found.dead_letters:
            return "0"
        number = count(job.found.dead_letters)
        return format_html(
            '<a href="{}">{}</a>', words.letters_url(job.pk), words.badge(number, "bad")
        )

    @admin.display(description="last and next run")
    def runs_shown(self, job: Any) -> SafeString:
        last = f"{ago(job.last_run_at)}, {job.last_run_state}" if job.last_run_at else "never"
        upcoming = f"{job.next_run_at:%Y-%m-%d %H:%M} UTC" if job.next_run_at else "—"
        return format_html('{}<br><span class="tu-muted">next {}</span>', last, upcoming)

    @admin.display(description="sink", ordering="sink")
    def sink_shown(self, job: Any) -> SafeString:
        return format_html(
            '{}<br>{}', job.get_sink_display().split(":")[0].removeprefix("a ").removeprefix("an "),
            words.promise_badge(promise_of(job.live)),
        )  # fmt: skip

    @admin.action(description="Run now", permissions=["change"])
    def run(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        jobs.act(request, "run", queryset)

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        jobs.act(request, "pause", queryset)

    @admin.action(description="Go on", permissions=["change"])
    def go_on(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        jobs.act(request, "go_on", queryset)

    @admin.action(description="Resume what is stopped or waits", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        jobs.act(request, "resume", queryset)

    @admin.action(description="Measure the speed-up anew", permissions=["change"])
    def measure(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        jobs.act(request, "measure", queryset)

    def get_urls(self) -> list[URLPattern]:
        def view(page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
            def inner(request: HttpRequest, pk: int) -> HttpResponse:
                base = self.admin_site.each_context(request)
                job = self._job(request, pk, self.has_view_permission)
                may_change = self.has_change_permission(request, job)
                return page(request, {**base, "may_change": may_change}, job)

            return self.admin_site.admin_view(inner)

        act = self.admin_site.admin_view(require_POST(self.act_view))
        return [
            path("<int:pk>/status/", view(jobs.status), name="batches_job_status"),
            path(
                "<int:pk>/status/fragment/",
                view(jobs.fragment),
                name="batches_job_status_fragment",
            ),
            path("<int:pk>/act/", act, name="batches_job_act"),
            *super().get_urls(),
        ]

    def _job(self, request: HttpRequest, pk: int, permission: Callable[..., bool]) -> Job:
        job: Job | None = self.get_object(request, str(pk))
        if not permission(request, job):
            raise PermissionDenied
        if job is None:
            raise Http404("There is no such job.")
        return job

    def act_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Do what one of the buttons says, and show the job again."""
        job = self._job(request, pk, self.has_change_permission)
        name = request.POST.get("action", "")
        if name in jobs.ACTIONS:
            jobs.act(request, name, [job])
        return redirect("admin:batches_job_status", pk)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        row = kw.get("obj")
        if row is not None and row.pk:
            stored = self.get_object(request, str(row.pk))  # not what the form has made of it
            context |= jobs.about(stored) if stored is not None else {}
        return super().render_change_form(request, context, *args, **kw)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes along with jobs as numbers; there may be millions of rows."""
        models = (Item, AcceptedKey, DeadLetter, Run)
        pks = [job.pk for job in objs]
        counts = {
            model._meta.verbose_name_plural: (
                model.objects.filter(job__in=pks).order_by("pk")[:_MOST_COUNTED].count()
            )
            for model in models
        }
        told = {
            str(name): f"{_MOST_COUNTED} or more" if number >= _MOST_COUNTED else number
            for name, number in counts.items()
        }
        return [str(job) for job in objs], {"batch jobs": len(pks), **told}, set(), []

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        resuming.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        for job in queryset:
            resuming.remove(job)

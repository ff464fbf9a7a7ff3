"""A job's page: how far it is, what it did, how well; and the buttons that act on it."""

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.batches.engine.settings import Job as LiveJob
from optimizer.batches.live import live_job
from optimizer.batches.models import Job, Run
from optimizer.batches.pages import words
from optimizer.batches.selectors import activity, progress
from optimizer.batches.selectors.promises import promise_of
from optimizer.batches.services import calibration, operating, resuming, runs, schedules
from optimizer.batches.services.errors import UnknownJob
from optimizer.control.redis import RedisAway

ACTIONS = {
    "run": "Run now",
    "pause": "Pause",
    "go_on": "Go on",
    "resume": "Resume",
    "measure": "Measure the speed-up anew",
}
Base = dict[str, Any]


def status(request: HttpRequest, base: Base, job: Job) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    context = {
        **base,
        **about(job),
        "title": f"Job {job.name}",
        "fragment_url": reverse("admin:batches_job_status_fragment", args=(job.pk,)),
        **_now(job),
    }
    return TemplateResponse(request, "tuneup/batches_job.html", context)


def fragment(request: HttpRequest, base: Base, job: Job) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/batches_job_now.html", {**base, **_now(job)})


def about(job: Job) -> dict[str, Any]:
    """Return what a job's pages have in common: its promise and where its things are."""
    return {
        "job": job,
        "promise": promise_of(live_job(job)),
        "sink_label": str(dict(Job._meta.get_field("sink").flatchoices)[job.sink]).split(":")[0],
        "target": {"model": job.model, "handler": job.handler, "mongodb": job.collection}.get(
            job.sink, job.url
        ),
        "letters_url": words.letters_url(job.pk),
    }


def _now(job: Job) -> dict[str, Any]:
    live: LiveJob = live_job(job)
    found = progress(live)
    state = activity.shown_state(live, found)
    span = max(1, live.most_chunk_items - live.least_chunk_items)
    high = live.high_water_items
    context: dict[str, Any] = {
        "job": job,
        "letters_url": words.letters_url(job.pk),
        "of": found,
        "settled": found.done + found.failed,
        "state": words.STATE_WORDS[state],
        "colour": words.STATE_COLOURS[state],
        "percent": round(100 * found.fraction),
        "rate": words.rate_text(found.rate_per_second),
        "eta": words.eta_text(found),
        "full_percent": min(100, round(100 * found.left / high)),
        "reasons": words.reasons(found.flushes),
        "bars": words.latency_chart(activity.latency_bars(activity.latencies_of(job.pk))),
        "size_percent": min(100, round(100 * (found.chunk_items - live.least_chunk_items) / span)),
        "measured": activity.measured(job.pk),
        "runs": [_run(one) for one in activity.last_runs(job.pk)],
        "next_run": schedules.next_runs().get(job.name),
        "callbacks": activity.waiting_callbacks(job.pk),
    }
    try:
        hour, _ = activity.last_hour([job.name])
    except RedisAway:
        return context | {"redis_away": True}
    return context | {"chart": words.hour_chart(hour, "Items in the last hour")}


def _run(run: Run) -> dict[str, Any]:
    settled = run.done + run.failed
    return {
        "of": run,
        "colour": words.RUN_COLOURS[run.state],
        "percent": round(100 * min(1.0, settled / run.total)) if run.total else 100,
        "seconds": (run.finished_at - run.started_at).total_seconds() if run.finished_at else None,
    }


def act(request: HttpRequest, name: str, jobs: Iterable[Job]) -> None:
    """Do one of `ACTIONS` to jobs, and say what came of it."""
    chosen = list(jobs)
    if name == "run":
        _hand_over(request, chosen)
        return
    if name == "measure":
        for job in chosen:
            calibration.ask_for(job.pk)
        messages.success(
            request,
            f"{_jobs(len(chosen))}: measured with the next chunk of {calibration.LEAST_ITEMS} items"
            " or more. Only items for a model can be.",
        )
        return
    if name == "resume":
        count, done = resuming.resume(chosen), "resumed; nothing held it up"
    else:
        count = resuming.set_enabled(chosen, name == "go_on")
        done = "goes on" if name == "go_on" else "paused; what comes in waits"
    if count:
        done = done.split(";")[0] if name == "resume" else done
        messages.success(request, f"{_jobs(count)}: {done}.")
    else:
        messages.info(request, "Nothing was to be done.")


def _hand_over(request: HttpRequest, jobs: list[Job]) -> None:
    actor = request.user.get_username()
    for job in jobs:
        try:
            run = operating.hand_over(job.name, trigger=Run.Trigger.ADMIN, actor=actor)
        except runs.Overlap:
            messages.warning(request, f"{job.name}: a run is going on already.")
            continue
        except UnknownJob:
            messages.warning(request, f"{job.name} is not known to this process yet. Try again.")
            continue
        paused = "" if job.enabled else " It is paused: the run waits until it goes on."
        messages.success(request, f"{job.name}: run {run.pk} waits for a worker.{paused}")


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"

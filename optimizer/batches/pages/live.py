"""What all jobs do now."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse

from optimizer.batches.live import batches
from optimizer.batches.pages import words
from optimizer.batches.selectors import activity, progress_of_all
from optimizer.control.redis import RedisAway

Base = dict[str, Any]


def live(request: HttpRequest, base: Base) -> HttpResponse:
    """Show the page; what moves is in the fragment."""
    context = {
        **base,
        "title": "Batches live",
        "fragment_url": reverse("admin:batches_live_fragment"),
        **_overview(),
    }
    return TemplateResponse(request, "tuneup/batches_live.html", context)


def fragment(request: HttpRequest, base: Base) -> HttpResponse:
    """Show what moves alone, for the page to refresh itself."""
    return render(request, "tuneup/batches_now.html", {**base, **_overview()})


def _overview() -> dict[str, Any]:
    settings = batches.current()
    every = progress_of_all()
    chunks = sum(one.chunks for one in every)
    done, trips = sum(one.done for one in every), sum(one.trips for one in every)
    found: dict[str, Any] = {
        "settings": settings,
        "left": sum(one.left for one in every),
        "done": done,
        "chunks": chunks,
        "rate": words.rate_text(sum(one.rate_per_second for one in every)),
        "dead_letters": sum(one.dead_letters for one in every),
        "rows_per_trip": done / trips if trips else 0.0,
        "trips_saved": sum(one.trips_saved for one in every),
        "stopped": [one for one in every if one.state == "stopped"],
        "jobs": [_job(settings.jobs[one.job], one) for one in every if one.job in settings.jobs],
    }
    try:
        hour, by_job = activity.last_hour([one.job for one in every])
    except RedisAway:
        return found | {"redis_away": True}
    busiest = sorted(by_job, key=lambda job: -sum(map(by_job[job].sum_of, hour.counts)))
    most = max((by_job[job].sum_of("done") for job in busiest), default=0) or 1
    return found | {
        "chart": words.hour_chart(hour, "Items in the last hour"),
        "busiest": [
            {
                "job": job,
                "pk": settings.jobs[job].id,
                "done": by_job[job].sum_of("done"),
                "again": by_job[job].sum_of("again"),
                "failed": by_job[job].sum_of("failed"),
                "percent": round(100 * by_job[job].sum_of("done") / most),
            }
            for job in busiest[:10]
            if any(by_job[job].sum_of(outcome) for outcome in hour.counts)
        ],
    }


def _job(job: Any, found: Any) -> dict[str, Any]:
    state = activity.shown_state(job, found)
    return {
        "of": found,
        "pk": job.id,
        "settled": found.done + found.failed,
        "state": words.STATE_WORDS[state],
        "colour": words.STATE_COLOURS[state],
        "percent": round(100 * found.fraction),
        "rate": words.rate_text(found.rate_per_second),
        "eta": words.eta_text(found),
        "letters_url": words.letters_url(job.id),
    }

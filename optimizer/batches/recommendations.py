"""What a review recommends of batch jobs: what stands still, what fails, what gains little."""

from optimizer.batches.engine.settings import Job
from optimizer.batches.live import batches
from optimizer.batches.selectors.progress import Progress, progress_of_all
from optimizer.control.recommendations import Place, Recommendation
from optimizer.control.units import format_duration

_LEAST_ITEMS = 10_000  # applied, before anything is said of a job's pace
_LEAST_SPEED_UP = 1.2
_LONG_SECONDS = 3600.0


def recommend() -> list[Recommendation]:
    """Return what is worth doing."""
    jobs = batches.current().jobs
    return [one for told in progress_of_all() for one in _of(jobs[told.job], told)]


def _of(job: Job, told: Progress) -> list[Recommendation]:
    place = Place("admin:batches_job_status", (job.id,))
    found = []

    def say(kind: str, title: str, reason: str, at: Place = place) -> None:
        found.append(Recommendation(f"{kind}:{job.name}", title, reason, at))

    if told.state == "stopped":
        say("stopped", f"The job {job.name} is stopped", told.because or "Resume it on its page.")
    elif told.oldest_seconds >= _LONG_SECONDS and job.schedule == "none":
        say(
            "backlog",
            f"Items of {job.name} wait long",
            f"{told.left:,} wait, the oldest for {format_duration(told.oldest_seconds)}; "
            f"{told.rate_per_second:g} are applied a second. {told.last_error}".rstrip(),
        )
    if told.dead_letters:
        say(
            "dead-letters",
            f"{told.dead_letters:,} dead letter{'s' * (told.dead_letters != 1)} of {job.name}",
            "Mend what they have in common, then replay them; discard what nobody misses.",
            Place("admin:batches_deadletter_changelist", query=f"job__id__exact={job.id}"),
        )
    if told.done < _LEAST_ITEMS:
        return found
    if job.adaptive and told.chunk_items >= job.most_chunk_items and told.chunk_p95_seconds and (
        told.chunk_p95_seconds < job.target_seconds / 2
    ):  # fmt: skip
        say(
            "chunk",
            f"Let chunks of {job.name} grow beyond {job.most_chunk_items:,} items",
            f"95 % of them take {format_duration(told.chunk_p95_seconds)} or less, the target is "
            f"{format_duration(job.target_seconds)}.",
            Place("admin:batches_job_change", (job.id,)),
        )
    if told.speed_up is not None and told.speed_up < _LEAST_SPEED_UP:
        say(
            "gain",
            f"{job.name} gains little in bulk",
            f"An item in bulk is {told.speed_up:g} times as fast as one by one.",
        )
    return found

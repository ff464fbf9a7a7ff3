"""One chunk: items are claimed, written in bulk and counted."""

from optimizer.batches import metrics
from optimizer.batches.engine.settings import Job
from optimizer.batches.models import JobState, Run
from optimizer.batches.services import at_least_once, exactly_once, inbox, reporter
from optimizer.batches.services.chunks import Chunk, Work
from optimizer.batches.services.records import first_size
from optimizer.batches.services.sinks import sink_of


def work(
    job: Job, state: JobState, reason: str, *, run: Run | None = None
) -> tuple[Chunk, JobState | None]:
    """Take and write a chunk of items; return what it came to, and the job's new counters.

    Raises Misconfigured, what the database raises when it cannot be asked, and errors that are
    not about items; nothing has happened then.
    """
    sink = sink_of(job)
    if job.ordered:
        inbox.make_lanes(job)
    chunk = Chunk(reason, first_size(job, state))
    way = exactly_once if sink.transactional else at_least_once
    after = way.work(Work(job, sink, chunk, run, state.skipped, state.wants_calibration))
    if chunk.taken:
        metrics.CHUNKS.labels(job.name, reason).inc()
        metrics.CHUNK_SECONDS.labels(job.name).observe(chunk.seconds)
        counts = {outcome: getattr(chunk, outcome) for outcome in reporter.OUTCOMES}
        reporter.count(job.name, counts)
        for outcome, number in counts.items():
            metrics.ITEMS.labels(job.name, outcome).inc(number)
    return chunk, after

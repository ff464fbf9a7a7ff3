"""What both ways of working share: a chunk in hand, its items read, what they came to counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Run
from optimizer.batches.services.errors import DATA_ERRORS, Again, describe
from optimizer.batches.services.inbox import Taken
from optimizer.batches.services.sinks.base import Outcome, Row, Sink
from optimizer.control.backoff import full_jitter

Failures = dict[int, tuple[Taken, BaseException]]  # by the item's id


@dataclass(slots=True)
class Chunk:
    """What one chunk came to."""

    reason: str
    size: int  # that it could have had
    taken: int = 0
    done: int = 0
    failed: int = 0
    again: int = 0
    changed: int = 0
    folded: int = 0
    trips: int = 0
    payload_bytes: int = 0
    seconds: float = 0.0
    troubled: bool = False  # it was rolled back, or put off, by no fault of its items
    error: str = ""
    one_by_one_seconds: float | None = None  # an item, where it was measured
    in_bulk_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk to be done, and for whom."""

    job: Job
    sink: Sink
    chunk: Chunk
    run: Run | None
    skipped: int = 0  # dead letters the job has had, of those that its skip limit allows
    calibrate: bool = False  # measure how long single writes take

    @property
    def upto_id(self) -> int | None:
        """The last item that may be taken; None is no bound."""
        return self.run.upto_id if self.run is not None else None


def read(sink: Sink, taken: Sequence[Taken]) -> tuple[list[Row], Failures]:
    """Return the rows of the items that can be read, and the others with their errors."""
    rows, failed = [], Failures()
    for item in taken:
        try:
            rows.append(sink.read(item))
        except DATA_ERRORS as error:
            failed[item.id] = (item, error)
    return rows, failed


def within_bytes(job: Job, chunk: Chunk, taken: list[Taken]) -> tuple[list[Taken], list[Taken]]:
    """Return the first items that a chunk may hold by their bytes, and the others."""
    held = 0
    for at, item in enumerate(taken):
        held += len(item.payload)
        if held > job.flush_bytes and at:
            chunk.size = at  # it was full
            return taken[:at], taken[at:]
    return taken, []


def count(
    chunk: Chunk, taken: Sequence[Taken], failed: Failures, outcomes: Iterable[Outcome]
) -> None:
    """Count a chunk: what has not failed is done."""
    chunk.taken, chunk.failed = len(taken), len(failed)
    chunk.done = len(taken) - len(failed)
    chunk.payload_bytes = sum(len(one.payload) for one in taken)
    for _, error in failed.values():
        chunk.error = ": ".join(describe(error))
    for outcome in outcomes:
        chunk.changed += outcome.changed
        chunk.folded += outcome.folded
        chunk.trips += outcome.trips


def wait_seconds(job: Job, attempts: int, error: BaseException) -> float:
    """Return how long an item waits after so many attempts."""
    least = error.after_seconds if isinstance(error, Again) else 0.0
    jitter = full_jitter(
        attempts, base_seconds=job.backoff_seconds, most_seconds=job.max_backoff_seconds
    )
    return max(least, jitter)

"""When a chunk is due, and why: it is full, or its items have waited long enough."""

from dataclasses import dataclass

from optimizer.batches.engine.settings import Job

SIZE, BYTES, AGE, IDLE, SHUTDOWN, RUN = "size", "bytes", "age", "idle", "shutdown", "run"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, of the next chunk at most: items, bytes, seconds of the oldest and newest."""

    items: int
    payload_bytes: int
    oldest_seconds: float
    newest_seconds: float


@dataclass(frozen=True, slots=True)
class Due:
    """Why a chunk is due, "" where none is; then in how many seconds to look again."""

    reason: str = ""
    in_seconds: float = 0.0


def due(job: Job, waiting: Waiting, chunk_items: int) -> Due:
    """Say whether what waits is to be written now."""
    if waiting.items >= chunk_items:
        return Due(SIZE)
    if waiting.payload_bytes >= job.flush_bytes:
        return Due(BYTES)
    if waiting.oldest_seconds >= job.flush_seconds:
        return Due(AGE)
    if waiting.newest_seconds >= job.idle_seconds:
        return Due(IDLE)
    return Due(
        "",
        min(job.flush_seconds - waiting.oldest_seconds, job.idle_seconds - waiting.newest_seconds),
    )

"""The batch processor's part of the client, from threads.

Every submit is safe to repeat: an item without an idempotency key gets one here (a random UUID),
so a submit is repeated while the server is away or the job is full, until its time is up. Calls
raise as the limiter's do; `problem.type` is unknown-job, unknown-run, run-going-on ….
"""

import time
from collections.abc import Iterable
from typing import Any

from optimizer.client import batch_calls as calls
from optimizer.client.batch_calls import BatchItem, DeadLetters, Progress, Run, Submitted
from optimizer.client.cache import Send
from optimizer.client.collecting import Collector
from optimizer.client.protocol import TuneupError
from optimizer.client.retrying import Retries
from optimizer.client.waiting import DEFAULT_AGE_SECONDS, DEFAULT_SIZE

DEFAULT_SUBMIT_SECONDS = 10.0


class Batches:
    """The batch processor: `client.batches`."""

    def __init__(self, send: Send, submit_seconds: float) -> None:
        self._send, self._submit_seconds = send, submit_seconds

    def submit(self, job: str, item: Any, *, key: str = "", order: str = "") -> bool:
        """Send an item; True where it is new, False where its key was known. It is committed then.

        The item is what JSON has; `key` is its idempotency key, `order` its ordering key. Raises
        ValueError for an item that no job could take, JobFull when there was no room in time, and
        as all calls do.
        """
        entry = calls.encoded(BatchItem(item, key, order))
        return self._submit(job, [entry]).accepted == 1

    def submit_many(self, job: str, items: Iterable[BatchItem | Any]) -> Submitted:
        """Send many items in calls of up to 10,000, each of them all or none.

        Anything but a BatchItem is an item without keys. Raises as `submit`; where a later call
        fails, the error's `items_sent` says how many items the calls before it had.
        """
        whole = Submitted()
        for portion in calls.portions(items):
            try:
                done = self._submit(job, portion.entries)
            except TuneupError as error:
                error.items_sent = portion.first
                raise
            whole.accepted += done.accepted
            whole.known += [portion.first + at for at in done.known]
        return whole

    def collect(
        self, job: str, *, size: int = DEFAULT_SIZE, age_seconds: float = DEFAULT_AGE_SECONDS
    ) -> Collector:
        """Return a buffer that sends items by size (10,000 at most), by age and at its end."""
        size = min(size, calls.MAX_ITEMS)
        return Collector(
            lambda entries: self._submit(job, entries), size=size, age_seconds=age_seconds
        )

    def jobs(self) -> tuple[Progress, ...]:
        """Return how far all jobs are."""
        return self._send(calls.all_progress())

    def progress(self, job: str) -> Progress:
        """Return how far a job is."""
        return self._send(calls.progress(job))

    def run(self, job: str) -> Run:
        """Have a worker run a job now; ApiError with run-going-on while one does."""
        return self._send(calls.run(job))

    def run_state(self, job: str, run_id: int) -> Run:
        """Return a run as it stands."""
        return self._send(calls.run_state(job, run_id))

    def pause(self, job: str) -> Progress:
        """Have a job keep what comes in and write nothing."""
        return self._send(calls.pause(job))

    def resume(self, job: str) -> Progress:
        """Have a job go on that was paused or has stopped."""
        return self._send(calls.resume(job))

    def dead_letters(
        self, job: str, *, limit: int = 20, offset: int = 0, error_type: str = ""
    ) -> DeadLetters:
        """Return items that could not be applied, up to 100 at once, the newest first."""
        return self._send(calls.dead_letters(job, limit, offset, error_type))

    def replay(self, job: str, ids: Iterable[int] | None = None) -> int:
        """Put dead letters back into the inbox, all or some; return how many there were."""
        done = self._send(calls.replay(job, ids))
        return done.replayed + done.waiting

    def discard(self, job: str, ids: Iterable[int] | None = None) -> int:
        """Delete dead letters for good, all or some; return how many there were."""
        done = self._send(calls.discard(job, ids))
        return done.discarded + done.waiting

    def _submit(self, job: str, entries: list[bytes]) -> Submitted:
        call = calls.submit(job, entries)
        retries = Retries(self._submit_seconds)
        while True:
            try:
                return self._send(call)
            except TuneupError as error:
                wait = retries.wait_seconds(error)
            time.sleep(wait)

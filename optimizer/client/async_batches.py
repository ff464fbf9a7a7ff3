"""The batch processor's part of the client, from asyncio; the same calls as `Batches` has."""

import asyncio
from collections.abc import Iterable
from typing import Any

from optimizer.client import batch_calls as calls
from optimizer.client.async_collecting import AsyncCollector
from optimizer.client.batch_calls import BatchItem, DeadLetters, Progress, Run, Submitted
from optimizer.client.cache import AsyncSend
from optimizer.client.protocol import TuneupError
from optimizer.client.retrying import Retries
from optimizer.client.waiting import DEFAULT_AGE_SECONDS, DEFAULT_SIZE


class AsyncBatches:
    """The batch processor: `client.batches`."""

    def __init__(self, send: AsyncSend, submit_seconds: float) -> None:
        self._send, self._submit_seconds = send, submit_seconds

    async def submit(self, job: str, item: Any, *, key: str = "", order: str = "") -> bool:
        """Send an item; see `Batches.submit`."""
        entry = calls.encoded(BatchItem(item, key, order))
        return (await self._submit(job, [entry])).accepted == 1

    async def submit_many(self, job: str, items: Iterable[BatchItem | Any]) -> Submitted:
        """Send many items in calls of up to 10,000; see `Batches.submit_many`."""
        whole = Submitted()
        for portion in calls.portions(items):
            try:
                done = await self._submit(job, portion.entries)
            except TuneupError as error:
                error.items_sent = portion.first
                raise
            whole.accepted += done.accepted
            whole.known += [portion.first + at for at in done.known]
        return whole

    def collect(
        self, job: str, *, size: int = DEFAULT_SIZE, age_seconds: float = DEFAULT_AGE_SECONDS
    ) -> AsyncCollector:
        """Return a buffer that sends items by size (10,000 at most), by age and at its end."""
        size = min(size, calls.MAX_ITEMS)
        return AsyncCollector(
            lambda entries: self._submit(job, entries), size=size, age_seconds=age_seconds
        )

    async def jobs(self) -> tuple[Progress, ...]:
        """Return how far all jobs are."""
        return await self._send(calls.all_progress())

    async def progress(self, job: str) -> Progress:
        """Return how far a job is."""
        return await self._send(calls.progress(job))

    async def run(self, job: str) -> Run:
        """Have a worker run a job now; ApiError with run-going-on while one does."""
        return await self._send(calls.run(job))

    async def run_state(self, job: str, run_id: int) -> Run:
        """Return a run as it stands."""
        return await self._send(calls.run_state(job, run_id))

    async def pause(self, job: str) -> Progress:
        """Have a job keep what comes in and write nothing."""
        return await self._send(calls.pause(job))

    async def resume(self, job: str) -> Progress:
        """Have a job go on that was paused or has stopped."""
        return await self._send(calls.resume(job))

    async def dead_letters(
        self, job: str, *, limit: int = 20, offset: int = 0, error_type: str = ""
    ) -> DeadLetters:
        """Return items that could not be applied, up to 100 at once, the newest first."""
        return await self._send(calls.dead_letters(job, limit, offset, error_type))

    async def replay(self, job: str, ids: Iterable[int] | None = None) -> int:
        """Put dead letters back into the inbox, all or some; return how many there were."""
        done = await self._send(calls.replay(job, ids))
        return done.replayed + done.waiting

    async def discard(self, job: str, ids: Iterable[int] | None = None) -> int:
        """Delete dead letters for good, all or some; return how many there were."""
        done = await self._send(calls.discard(job, ids))
        return done.discarded + done.waiting

    async def _submit(self, job: str, entries: list[bytes]) -> Submitted:
        call = calls.submit(job, entries)
        retries = Retries(self._submit_seconds)
        while True:
            try:
                return await self._send(call)
            except TuneupError as error:
                wait = retries.wait_seconds(error)
            await asyncio.sleep(wait)

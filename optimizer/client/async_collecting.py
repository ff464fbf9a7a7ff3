"""A buffer in front of a job, from asyncio: single items in, full calls out, from its own task."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from optimizer.client.batch_calls import BatchItem, Submitted, encoded
from optimizer.client.waiting import DEFAULT_AGE_SECONDS, DEFAULT_SIZE, Waiting, entry_of


class AsyncCollector:
    """Sends what is added by size, by age and at the end, as `Collector` does."""

    def __init__(
        self,
        send: Callable[[list[bytes]], Awaitable[Submitted]],
        *,
        size: int = DEFAULT_SIZE,
        age_seconds: float = DEFAULT_AGE_SECONDS,
    ) -> None:
        self._send = send
        self._waiting = Waiting(size, age_seconds)
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def accepted(self) -> int:
        """How many items were accepted so far."""
        return self._waiting.accepted

    @property
    def known(self) -> int:
        """How many of them had been accepted before, by their keys."""
        return self._waiting.known

    @property
    def unsent(self) -> list[BatchItem]:
        """The items that are not known to be accepted, with their keys: safe to submit again."""
        return self._waiting.unsent

    async def add(self, item: Any, *, key: str = "", order: str = "") -> None:
        """Keep an item for the next call; see `Collector.add`."""
        entry = encoded(entry_of(item, key, order))
        waiting = self._waiting
        async with self._changed:
            if self._closed:
                raise RuntimeError("the collector is closed")
            before = waiting.failures
            while waiting.is_full and waiting.failures == before and not waiting.is_broken:
                await self._changed.wait()
            if waiting.last_error is not None and (waiting.is_full or waiting.is_broken):
                raise waiting.last_error
            waiting.add(entry)
            if self._task is None:
                self._task = asyncio.create_task(self._work())
            if len(waiting.entries) in (1, waiting.size):  # it sleeps, or until a later time
                self._changed.notify_all()

    async def flush(self) -> None:
        """Send all that waits now. Raises what the client's calls raise; the rest is kept."""
        waiting = self._waiting
        async with self._changed:
            while waiting.in_hand:  # what was sent before is no answer to this
                await self._changed.wait()
            before = waiting.failures
            waiting.flushing += 1
            self._changed.notify_all()
            try:
                while not waiting.is_empty and waiting.failures == before:
                    await self._changed.wait()
            finally:
                waiting.flushing -= 1
            if not waiting.is_empty and waiting.last_error is not None:
                raise waiting.last_error

    async def aclose(self) -> None:
        """Send all that waits, and end. Raises as `flush`; see `unsent` then."""
        self._closed = True
        try:
            await self.flush()
        finally:
            task, self._task = self._task, None
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _work(self) -> None:
        while True:
            entries = await self._next()
            try:
                done = await self._send(entries)
            except BaseException as error:  # also where the task is cancelled: nothing is lost
                known = error if isinstance(error, Exception) else RuntimeError("cancelled")
                self._waiting.failed(known)
                if known is not error:
                    raise
            else:
                self._waiting.sent(done)
            async with self._changed:
                self._changed.notify_all()

    async def _next(self) -> list[bytes]:
        async with self._changed:
            while True:
                due = self._waiting.due_in_seconds()
                if due == 0:
                    return self._waiting.take()
                with suppress(TimeoutError):
                    async with asyncio.timeout(due):
                        await self._changed.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Exception as unsent:
            if error is None:
                raise
            error.add_note(f"{len(self.unsent)} items could not be sent: {unsent}")

"""A buffer in front of a job: single items in, full calls out, from a thread of its own."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from optimizer.client.batch_calls import BatchItem, Submitted, encoded
from optimizer.client.waiting import DEFAULT_AGE_SECONDS, DEFAULT_SIZE, Waiting, entry_of


class Collector:
    """Sends what is added by size, by age and at the end; `client.batches.collect(job)`.

    Its thread does all the sending, so an item goes out in time also where none follows it. What
    cannot be sent is kept and tried again, with the same keys. Any thread may add.
    """

    def __init__(
        self,
        send: Callable[[list[bytes]], Submitted],
        *,
        size: int = DEFAULT_SIZE,
        age_seconds: float = DEFAULT_AGE_SECONDS,
    ) -> None:
        self._send = send
        self._waiting = Waiting(size, age_seconds)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
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
        with self._changed:
            return self._waiting.unsent

    def add(self, item: Any, *, key: str = "", order: str = "") -> None:
        """Keep an item for the next call.

        With ten calls' worth waiting it waits for room. Raises ValueError for an item that no job
        could take, and why the last call failed, where that does not pass by itself or no room was
        made; the item is not kept then.
        """
        entry = encoded(entry_of(item, key, order))
        waiting = self._waiting
        with self._changed:
            if self._closed:
                raise RuntimeError("the collector is closed")
            before = waiting.failures
            while waiting.is_full and waiting.failures == before and not waiting.is_broken:
                self._changed.wait()
            if waiting.last_error is not None and (waiting.is_full or waiting.is_broken):
                raise waiting.last_error
            waiting.add(entry)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="tuneup-batches-collector", daemon=True
                )
                self._thread.start()
            if len(waiting.entries) in (1, waiting.size):  # it sleeps, or until a later time
                self._changed.notify_all()

    def flush(self) -> None:
        """Send all that waits now. Raises what the client's calls raise; the rest is kept."""
        waiting = self._waiting
        with self._changed:
            while waiting.in_hand:  # what was sent before is no answer to this
                self._changed.wait()
            before = waiting.failures
            waiting.flushing += 1
            self._changed.notify_all()
            try:
                while not waiting.is_empty and waiting.failures == before:
                    self._changed.wait()
            finally:
                waiting.flushing -= 1
            if not waiting.is_empty and waiting.last_error is not None:
                raise waiting.last_error

    def close(self) -> None:
        """Send all that waits, and end. Raises as `flush`; see `unsent` then."""
        with self._changed:
            self._closed = True
        try:
            self.flush()
        finally:
            with self._changed:
                thread, self._thread = self._thread, None
                self._changed.notify_all()
            if thread is not None:
                thread.join()

    def _work(self) -> None:
        while (entries := self._next()) is not None:
            try:
                done = self._send(entries)
            except Exception as error:  # for whoever adds or flushes, not for this thread
                with self._changed:
                    self._waiting.failed(error)
                    self._changed.notify_all()
            else:
                with self._changed:
                    self._waiting.sent(done)
                    self._changed.notify_all()

    def _next(self) -> list[bytes] | None:
        with self._changed:
            while True:
                if self._thread is None:
                    return None
                due = self._waiting.due_in_seconds()
                if due == 0:
                    return self._waiting.take()
                self._changed.wait(due)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception as unsent:
            if error is None:
                raise
            error.add_note(f"{len(self.unsent)} items could not be sent: {unsent}")

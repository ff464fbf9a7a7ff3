"""Messages that wake a worker. They may be lost or doubled: the sweep finds what was missed.

A thread of its own sends them, so that no caller waits for the broker, and a job that gets many
items is announced once.
"""

import logging
import os
import threading
import time
from contextvars import Context, copy_context
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import transaction

from optimizer.batches import metrics
from optimizer.batches.live import batches

logger = logging.getLogger(__name__)
GATHER_SECONDS = 0.02
_AFTER_FAILURE_SECONDS = 5.0
_EXPIRES_SECONDS = 30


class Waker(threading.Thread):
    """Sends what is due; ends when there was nothing to do for a while."""

    IDLE_SECONDS = 30.0

    def __init__(self) -> None:
        super().__init__(name="tuneup-batches-waker", daemon=True)
        self._condition = threading.Condition()
        self._due: dict[str, tuple[float, Context]] = {}
        self._silent_until = 0.0
        self.has_ended = False

    def add(self, job: str, in_seconds: float) -> bool:
        """Have a job's workers woken; False where this thread has ended."""
        at = time.monotonic() + in_seconds
        with self._condition:
            if self.has_ended:
                return False
            known = self._due.get(job)
            if known is None or at < known[0]:
                # Of several who are told of at once, the message carries the first one's ids.
                self._due[job] = (at, known[1] if known else copy_context())
                self._condition.notify()
            return True

    def run(self) -> None:
        while (due := self._next()) is not None:
            for name, context in due.items():
                context.run(self._send, name)

    def _next(self) -> dict[str, Context] | None:
        until = time.monotonic() + self.IDLE_SECONDS
        with self._condition:
            while True:
                now = time.monotonic()
                names = [name for name, (at, _) in self._due.items() if at <= now]
                if names:
                    return {name: self._due.pop(name)[1] for name in names}
                if not self._due and now >= until:
                    self.has_ended = True
                    return None
                self._condition.wait(min([until, *(at for at, _ in self._due.values())]) - now)

    def _send(self, name: str) -> None:
        if time.monotonic() < self._silent_until:
            metrics.WAKEUPS.labels("no").inc()
            return
        try:
            _publish(name)
        except Exception as error:  # whatever a broker's client raises; the sweep comes anyway
            self._silent_until = time.monotonic() + _AFTER_FAILURE_SECONDS
            metrics.WAKEUPS.labels("no").inc()
            logger.warning("No worker could be told of the job %s: %s", name, error)
        else:
            metrics.WAKEUPS.labels("yes").inc()


def _publish(name: str) -> None:
    job = batches.peek().jobs.get(name)
    current_app.send_task(
        "batches.drain",
        args=(name,),
        queue=queue_of(job.priority if job else "normal"),
        expires=_EXPIRES_SECONDS,
        retry=False,
    )


def queue_of(priority: str) -> str:
    """Return the name of the Celery queue of a priority."""
    default: str = settings.CELERY_TASK_DEFAULT_QUEUE
    return {"high": f"{default}-high", "low": f"{default}-low"}.get(priority, default)


_waker: Waker | None = None
_lock = threading.Lock()


def wake(job: str, in_seconds: float = GATHER_SECONDS) -> None:
    """Have a worker woken for a job, soon."""
    global _waker
    if not settings.WATCH_LIVE_SETTINGS:
        return  # as in tests: a process without threads of its own
    waker = _waker
    if waker is not None and waker.add(job, in_seconds):
        return
    with _lock:
        if _waker is None or _waker.has_ended:
            _waker = Waker()
            _waker.start()
        _waker.add(job, in_seconds)


def wake_on_commit(job: str) -> None:
    """Have a worker woken for a job once the open transaction, if there is one, is committed."""
    transaction.on_commit(partial(wake, job))


def _after_fork() -> None:
    global _waker, _lock
    _waker, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)

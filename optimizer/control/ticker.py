"""One thread a process for small regular duties, such as reporting what was counted."""

import atexit
import logging
import os
import threading
from collections.abc import Callable
from multiprocessing.util import Finalize

from django.conf import settings

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
_jobs: list[tuple[Callable[[], None], int]] = []  # with how many ticks lie between two runs


class _Ticker(threading.Thread):
    """Run every job in its time until the process ends."""

    def __init__(self) -> None:
        super().__init__(name="tuneup-ticker", daemon=True)
        self._stopping = threading.Event()

    def run(self) -> None:
        count = 0
        while not self._stopping.wait(TICK_SECONDS):
            count += 1
            tick(count)

    def stop(self) -> None:
        self._stopping.set()


def register(job: Callable[[], None], *, seconds: float) -> None:
    """Have `job` run every so many seconds in every process that calls `ensure`.

    It must not block long: all jobs of a process share one thread.
    """
    _jobs.append((job, max(1, round(seconds / TICK_SECONDS))))


def tick(count: int = 0) -> None:
    """Run the jobs whose turn it is, with 0 all; one that fails does not keep the others."""
    for job, every in list(_jobs):
        if count % every:
            continue
        try:
            job()
        except Exception:
            logger.exception("A report failed in this turn")


_ticker: _Ticker | None = None
_lock = threading.Lock()
_last = False


def ensure() -> None:
    """Start this process's ticker if it has none, as after a fork."""
    global _ticker
    if _ticker is not None or not settings.WATCH_LIVE_SETTINGS:
        return
    with _lock:
        if _ticker is None:
            _ticker = _Ticker()
            _ticker.start()
            # Children of multiprocessing, as granian's workers are, end without atexit.
            Finalize(None, stop, exitpriority=2)


def is_last() -> bool:
    """Say whether this turn is the last one, for jobs that are done less often."""
    return _last


def stop() -> None:
    """Stop the ticker after a last report."""
    global _ticker, _last
    with _lock:
        ticker, _ticker = _ticker, None
    if ticker is not None:
        ticker.stop()
        ticker.join(timeout=2)
        _last = True
        tick()


def _after_fork() -> None:
    global _ticker, _lock, _last
    _ticker, _lock, _last = None, threading.Lock(), False


os.register_at_fork(after_in_child=_after_fork)
atexit.register(stop)

"""What a process gathered, told at intervals: one entry of a stream in Redis, and the charts."""

import os
import threading
import time

from optimizer.control import ticker
from optimizer.control.redis import RedisAway, call
from optimizer.control.series import Series
from optimizer.queries import metrics
from optimizer.queries.engine import intervals, news
from optimizer.queries.live import queries
from optimizer.queries.services import capture, collector, watching

STREAM = "tuneup:{queries}:intervals"
MOST_ENTRIES = 2000  # some hours of a dozen processes, should nobody read
_STATEMENTS_AGAIN_SECONDS = 3600.0
series = Series("queries")


class _Turn:
    def __init__(self) -> None:
        # One tells at a time: who returns from flush() knows that nothing is on its way elsewhere.
        self.lock = threading.Lock()
        self.flushed_at = self.statements_at = time.monotonic()
        self.errors = capture.errors


_turn = _Turn()


def report() -> None:
    """Tell what was gathered, if its time has come."""
    now, settings = time.monotonic(), queries.peek()
    if now - _turn.flushed_at < settings.flush_seconds and not ticker.is_last():
        return
    watching.part_of_long_units(settings.flush_seconds)
    if now - _turn.statements_at >= _STATEMENTS_AGAIN_SECONDS:
        collector.collector.tell_statements_again()
        _turn.statements_at = now
    _turn.flushed_at = now
    flush()


def flush() -> bool:
    """Tell all that was gathered; False where it is kept because Redis is away."""
    with _turn.lock:
        return _flush()


def _flush() -> bool:
    metrics.SAMPLE_RATIO.set(watching.sampler.rate)
    told = collector.collector.take()
    if (errors := capture.errors) != _turn.errors:
        told.counts["errors"] += errors - _turn.errors
        _turn.errors = errors
    series.add(told.counts)
    if told.is_empty and not series.has_unsent:
        return True
    try:
        series.send()
        if not told.is_empty:
            fields = {b"s": intervals.pack(told.gathered), b"n": news.pack(told.news)}
            call(lambda r: r.xadd(STREAM, fields, maxlen=MOST_ENTRIES, approximate=True))  # type: ignore[arg-type]
    except RedisAway:
        collector.collector.give_back(told)
        return False
    return True


def _after_fork() -> None:
    global _turn, series
    _turn, series = _Turn(), Series("queries")


os.register_at_fork(after_in_child=_after_fork)

"""Hedged calls: one that takes longer than most is sent to a second backend as well.

Source: J. Dean, L. Barroso, The Tail at Scale, 2013.
"""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from contextvars import copy_context
from typing import TypeVar

from optimizer.balancer import metrics
from optimizer.balancer.engine.call import Call
from optimizer.balancer.engine.events import Unavailable
from optimizer.balancer.engine.group import Group
from optimizer.balancer.engine.histogram import percentile

T = TypeVar("T")
_THREADS = 32
_LEAST_CALLS = 100  # before them nobody knows what is slow


class _Threads:
    """One pool a process, made when it is first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def get(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tuneup-balancer-hedge")
        return self._pool


_threads = _Threads()


def run(group: Group, function: Callable[[Call], T], key: bytes) -> T:
    """Call a backend, and a second one when it is late; return what succeeds first.

    Raises Unavailable, and the first one's error where both fail. What comes later is counted and
    thrown away.
    """
    first = Call(group, key).__enter__()
    first_done = _submit(function, first)
    done, _ = wait((first_done,), timeout=delay_seconds(group))
    if done or not group.may_retry():
        return first_done.result()
    try:
        second = Call(group, key, (first.name,)).__enter__()
    except Unavailable:
        return first_done.result()
    metrics.RETRIES.labels(group.settings.name).inc()
    second_done = _submit(function, second)
    done, pending = wait((first_done, second_done), return_when=FIRST_COMPLETED)
    for one in (*done, *pending):
        if one.exception() is None:  # it waits for the one that is pending
            return one.result()
    return first_done.result()


def delay_seconds(group: Group) -> float | None:
    """Return after how long a call is late; None while too little is known."""
    counts: Counter[int] = Counter()
    for one in group.endpoints.values():
        counts.update({bucket: count for bucket, count in enumerate(one.counts) if count})
    if counts.total() < _LEAST_CALLS:
        return None
    return percentile(counts, group.settings.hedge_percentile / 100)


def _submit(function: Callable[[Call], T], call: Call) -> "Future[T]":
    """Run the function in a thread, and end the call, which has begun, there."""

    def work() -> T:
        with ExitStack() as stack:
            stack.push(call)
            return function(call)

    return _threads.get().submit(copy_context().run, work)


def _after_fork() -> None:
    global _threads
    _threads = _Threads()


os.register_at_fork(after_in_child=_after_fork)

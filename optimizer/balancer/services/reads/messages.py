"""Celery's tasks read for whom they were sent by: a reader's name and position go with the message.

A task that nobody's reader sent stays on the primary: what its sender wrote is not known.
"""

from contextvars import Token
from time import monotonic
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun
from django.db import connections

from optimizer.balancer.engine.lsn import LAST, from_key, to_key
from optimizer.balancer.engine.reader import Reader
from optimizer.balancer.services.reads import readers

HEADER = "tuneup_reader"  # <position> <name>
_running: dict[str, tuple[Reader, Token[Reader | None]]] = {}


def install() -> None:
    """Carry who reads from who sends a task to who runs it."""
    before_task_publish.connect(_on_publish, dispatch_uid="balancer.reads")
    task_prerun.connect(_before_task, dispatch_uid="balancer.reads")
    task_postrun.connect(_after_task, dispatch_uid="balancer.reads")


def _on_publish(headers: Any = None, **_: Any) -> None:
    one = readers.current.get()
    if one is None or not isinstance(headers, dict):
        return
    if one.is_pinned or connections[readers.PRIMARY].in_atomic_block:
        after = LAST  # what it must see has no position before it is committed
    elif one.has_written:
        readers.settle(one)
        after = LAST if one.is_pinned else one.required
    else:
        after = one.required
    headers[HEADER] = f"{to_key(after)} {one.name}"


def _before_task(task_id: str, task: Any, **_: Any) -> None:
    if task.request.is_eager:
        return  # it is part of the work that called it
    sent: Any = getattr(task.request, HEADER, None)
    if not isinstance(sent, str):
        return
    text, _space, name = sent.partition(" ")
    position = from_key(text)
    one = Reader(name, LAST if position is None else position, monotonic)
    _running[task_id] = one, readers.current.set(one)


def _after_task(task_id: str, **_: Any) -> None:
    found = _running.pop(task_id, None)
    if found is not None:
        one, token = found
        readers.current.reset(token)
        readers.finish(one)

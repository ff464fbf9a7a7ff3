"""Who reads in the work at hand, from its beginning to its end.

A router is given no request: who reads is in a context variable, which middleware and Celery's
signals set. Work in which nobody is known to read (commands, beat, Tuneup's own threads) stays on
the primary.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from optimizer.balancer.engine.lsn import LAST, end_of_records, parse
from optimizer.balancer.engine.reader import Reader
from optimizer.balancer.services.reads import positions

PRIMARY = DEFAULT_DB_ALIAS
POSITION = "SELECT pg_current_wal_insert_lsn()::text"

current: ContextVar[Reader | None] = ContextVar("tuneup_reader", default=None)


@contextmanager
def reader(name: str = "", *, after: int = 0) -> Iterator[Reader]:
    """Balance the reads of the enclosed work over the replicas.

    Its reads see what was written here, and, with a `name` (as "bot:42"), what was written in
    other work of that name; `after` is a position that they must see besides.
    """
    one = Reader(name, after, time.monotonic)
    token = current.set(one)
    try:
        yield one
    finally:
        current.reset(token)
        finish(one)


@contextmanager
def primary() -> Iterator[None]:
    """Have the reads of the enclosed work go to the primary; what it writes is still noted."""
    known = current.get()
    token = current.set(_Pinned(known))
    try:
        yield
    finally:
        current.reset(token)


class _Pinned(Reader):
    """Stands for a reader whose reads all go to the primary."""

    __slots__ = ("_behind",)

    def __init__(self, behind: Reader | None) -> None:
        super().__init__("", LAST, time.monotonic)
        self._behind = behind

    def wrote(self) -> None:
        if self._behind is not None:
            self._behind.wrote()


def wrote() -> None:
    """Say that the work at hand has written what is not seen: by COPY, or a function in a SELECT.

    Reads see all else by themselves.
    """
    one = current.get()
    if one is not None:
        note_write(one)


def note_write(one: Reader) -> None:
    """Note a write, and once more when its transaction ends, as a thread may ask in between."""
    one.wrote()
    connection: Any = connections[PRIMARY]
    if connection.in_atomic_block:
        hooks = connection.run_on_commit
        if not hooks or hooks[-1][1] != one.wrote:
            connection.on_commit(one.wrote)


def settle(one: Reader) -> None:
    """Ask the primary for the position of what was written; without an answer stay there."""
    marks = one.marks
    try:
        with connections[PRIMARY].cursor() as cursor:
            cursor.execute(POSITION)
            one.settle(marks, end_of_records(parse(cursor.fetchone()[0])))
    except (DatabaseError, InterfaceError):  # it is away: what was committed is not known
        one.is_pinned = True


def finish(one: Reader, *also: str) -> bool:
    """Tell other processes what the reader has written; return whether its position is known.

    `also` are names that it is known by from now on, as a session that got another key.
    """
    if one.has_written:
        connection = connections[PRIMARY]
        if connection.in_atomic_block:  # a caller's: what was written counts from its end on
            connection.on_commit(lambda: _store_anew(one, also))
            return False
        settle(one)
    return _store(one, also)


def _store_anew(one: Reader, also: tuple[str, ...]) -> None:
    settle(one)
    _store(one, also)


def _store(one: Reader, also: tuple[str, ...]) -> bool:
    # What is still not settled has no position that is known.
    position = LAST if one.has_written else one.required
    if position <= one.stored:
        return True
    for name in {one.name, *also} - {""}:
        positions.store(name, position)
    one.stored = one.required
    return position < LAST

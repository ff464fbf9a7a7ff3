"""What senders call: items are in the inbox, committed, when it returns."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from zlib import crc32

import msgspec
from django.db import IntegrityError

from optimizer.batches.engine.settings import Job
from optimizer.batches.live import batches
from optimizer.batches.models import LANES
from optimizer.batches.services import fullness, inbox, wakeups
from optimizer.batches.services.errors import BadItem, UnknownJob
from optimizer.control import live

MAX_ITEMS = 10_000  # in one call
MAX_KEY_LENGTH = 200
MAX_ITEM_BYTES = 256 * 1024
MAX_DEPTH = 100  # of an item; whoever reads it may have less room than who has sent it
MAX_COLLECTED_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Entry:
    """An item with its idempotency key and ordering key; "" is none."""

    item: Any
    key: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """How many items were accepted now, and the places of those that were known already."""

    accepted: int
    known: list[int] = field(default_factory=list)


def submit(job: str, item: Any, *, key: str = "", order: str = "") -> bool:
    """Put an item into a job's inbox; True where it is new, False where its key was known.

    On return it is committed, or will be with the open transaction. Within `collect` it is kept
    until the block ends, and counts as new. The item is anything that JSON has; `key` is its
    idempotency key, `order` its ordering key, of 200 characters at most. Raises UnknownJob,
    BadItem and JobFull.
    """
    entry = Entry(item, key, order)
    block = _blocks.get().get(job)
    if block is not None:
        block.add(entry)
        return True
    return submit_many(job, [entry]).accepted == 1


def submit_many(job: str, entries: Iterable[Entry | Any], *, wait: bool = True) -> Submitted:
    """Put many items in, all or none; anything but an Entry is an item without keys.

    Raises UnknownJob, BadItem, TooMany and JobFull.
    """
    found = find(job)
    new = [encode(at, entry) for at, entry in enumerate(entries)]
    return put(found, new, wait=wait)


def put(job: Job, new: Sequence[inbox.New], *, wait: bool = True, admit: bool = True) -> Submitted:
    """Put encoded items in; with `admit` the water marks count. Raises JobFull."""
    if not new:
        return Submitted(0)
    if admit:
        fullness.admit(job, len(new), wait=wait)
    try:
        known = inbox.put(job.id, new)
    except IntegrityError as error:  # deleted, and this process has not heard of it yet
        raise UnknownJob(job.name) from error
    accepted = len(new) - len(known)
    if accepted and not job.only_in_runs:
        wakeups.wake_on_commit(job.name)
    return Submitted(accepted, known)


def find(name: str) -> Job:
    """Return a job's settings. Raises UnknownJob."""
    job = batches.current().jobs.get(name)
    if job is None:
        live.try_to_catch_up()  # it may have been made a moment ago
        job = batches.current().jobs.get(name)
    if job is None:
        raise UnknownJob(name)
    return job


def encode(at: int, entry: Entry | Any) -> inbox.New:
    """Return an item as the inbox keeps it. Raises BadItem."""
    if not isinstance(entry, Entry):
        entry = Entry(entry)
    for name, text in (("key", entry.key), ("order", entry.order)):
        if not isinstance(text, str) or len(text) > MAX_KEY_LENGTH or "\0" in text:
            raise BadItem(at, name, f"must be a text of up to {MAX_KEY_LENGTH} characters")
        if not text.isascii() and text.encode("utf-8", "replace").decode() != text:
            raise BadItem(at, name, "must be text that UTF-8 holds (it has a lone surrogate)")
    try:
        raw = msgspec.json.encode(entry.item)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadItem(at, "item", f"must be what JSON has ({error})") from error
    if len(raw) > MAX_ITEM_BYTES:
        raise BadItem(at, "item", f"must be at most {MAX_ITEM_BYTES} bytes of JSON")
    try:
        payload = raw.decode()
    except UnicodeDecodeError as error:
        raise BadItem(at, "item", "must be what JSON has (a lone surrogate)") from error
    if says := _flaw(raw, entry.item):
        raise BadItem(at, "item", says)
    return inbox.New(payload, entry.key, lane_of(entry.order))


def _flaw(raw: bytes, item: Any) -> str:
    """Return what makes an item one that cannot be read again as it was, "" for nothing."""
    nests = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
    if not nests and b"null" not in raw:
        return ""  # nearly all of them
    level = [msgspec.to_builtins(item)]
    for _ in range(MAX_DEPTH + 1):
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            return "must have finite numbers only"  # JSON would have null in their place
        inside = [one for one in level if isinstance(one, dict | list | tuple)]
        if not inside:
            return ""
        lists = [one.values() if isinstance(one, dict) else one for one in inside]
        level = [inner for one in lists for inner in one]
    return f"must be nested at most {MAX_DEPTH} deep"


def lane_of(order: str) -> int:
    """Return the lane of an ordering key; items without one share the first."""
    return crc32(order.encode("utf-8", "surrogatepass")) % LANES if order else 0


class Block:
    """What was submitted to one job within `collect`."""

    def __init__(self, job: Job) -> None:
        self.job, self._new = job, list[inbox.New]()
        self._bytes = self.accepted = self.known = 0

    def add(self, entry: Entry) -> None:
        """Keep an item; past 10,000 items or 64 MiB they are put in at once."""
        new = encode(len(self._new), entry)
        self._new.append(new)
        self._bytes += len(new.payload)
        if len(self._new) >= MAX_ITEMS or self._bytes >= MAX_COLLECTED_BYTES:
            self.write()

    def write(self) -> None:
        """Put in what was kept. Raises JobFull, and keeps it then."""
        done = put(self.job, self._new)
        self.accepted += done.accepted
        self.known += len(done.known)
        self._new, self._bytes = [], 0


_NONE: Mapping[str, Block] = MappingProxyType({})
_blocks: ContextVar[Mapping[str, Block]] = ContextVar("tuneup-batches-blocks", default=_NONE)


@contextmanager
def collect(job: str) -> Iterator[Block]:
    """Coalesce all `submit` calls for a job within the block into one write at its end.

    When the block raises, what it had kept is dropped, as a transaction would. An inner block of
    the same job is part of the outer one. Raises UnknownJob, and JobFull at the end.
    """
    outer = _blocks.get()
    if job in outer:
        yield outer[job]
        return
    block = Block(find(job))
    token = _blocks.set({**outer, job: block})
    try:
        yield block
    finally:
        _blocks.reset(token)
    block.write()

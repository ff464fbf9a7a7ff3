"""The batch processor's calls as they go over the wire, and what they answer."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from optimizer.client.protocol import BatchesAway, Call

T = TypeVar("T")
State = Literal["stopped", "paused", "waiting", "working", "idle"]

MAX_ITEMS = 10_000  # in one call
MAX_KEY_LENGTH = 200
MAX_ITEM_BYTES = 256 * 1024
MAX_DEPTH = 100  # of an item
MAX_CALL_BYTES = 15 * 1024**2  # the server takes 16 MiB
_LONG_SECONDS = 30.0  # for calls with much to do
_FEW_ITEMS = 100


class BatchItem(msgspec.Struct, frozen=True):
    """An item with its idempotency key and ordering key; "" is none."""

    item: Any
    key: str = ""
    order: str = ""


class Submitted(msgspec.Struct):
    """How many items were accepted now, and the places of those that were accepted before."""

    accepted: int = 0
    known: list[int] = []


class Progress(msgspec.Struct, frozen=True):
    """How far a job is; None is what cannot be told yet, `because` says why it stands."""

    job: str
    state: State
    because: str
    left: int
    done: int
    failed: int
    dead_letters: int
    rate_per_second: float
    eta_seconds: float | None
    oldest_seconds: float
    fraction: float
    chunk_items: int
    chunks: int
    retried: int
    trips: int
    rows_per_trip: float
    trips_saved: int
    flushes: dict[str, int]
    chunk_p50_seconds: float
    chunk_p95_seconds: float
    chunk_p99_seconds: float
    speed_up: float | None
    last_chunk_at: datetime | None
    last_error: str
    last_error_at: datetime | None


class Run(msgspec.Struct, frozen=True):
    """A run of a job; `message` says why where it has failed."""

    id: int
    job: str
    trigger: str
    actor: str
    state: Literal["running", "done", "failed", "skipped"]
    total: int
    done: int
    failed: int
    message: str
    started_at: datetime
    finished_at: datetime | None


class DeadLetter(msgspec.Struct, frozen=True):
    """An item that could not be applied, and why."""

    id: int
    item_id: int
    key: str
    item: Any
    error_type: str
    error: str
    attempts: int
    sent_at: datetime
    failed_at: datetime


class DeadLetters(msgspec.Struct, frozen=True):
    """A page of dead letters; `total` is how many there are."""

    total: int
    dead_letters: tuple[DeadLetter, ...]


class Replayed(msgspec.Struct):
    replayed: int
    waiting: int = 0


class Discarded(msgspec.Struct):
    discarded: int
    waiting: int = 0


_BASE = "/internal/v1/batches"
_encode = msgspec.json.Encoder().encode


def encoded(given: Any) -> bytes:
    """Return an item as it is sent, with a key of its own where it has none.

    Raises ValueError for what the server would refuse.
    """
    entry = given if isinstance(given, BatchItem) else BatchItem(given)
    for name, text in (("key", entry.key), ("order", entry.order)):
        if not isinstance(text, str) or len(text) > MAX_KEY_LENGTH or "\0" in text:
            raise ValueError(f"{name} must be a text of up to {MAX_KEY_LENGTH} characters")
    try:
        item = _encode(entry.item)
        item.decode()
        sent = _encode(
            BatchItem(msgspec.Raw(item), entry.key or f"client-{uuid4().hex}", entry.order)
        )
    except (TypeError, UnicodeError, RecursionError, OverflowError) as error:
        raise ValueError(f"the item must be what JSON has ({error})") from error
    if len(item) > MAX_ITEM_BYTES:
        raise ValueError(f"the item must be at most {MAX_ITEM_BYTES} bytes of JSON")
    if says := _flaw(item, entry.item):
        raise ValueError(f"the item must {says}")
    return sent


def _flaw(raw: bytes, item: Any) -> str:
    """Return what the server would not take of an item that can be sent, "" for nothing."""
    nests = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
    if not nests and b"null" not in raw:
        return ""  # nearly all of them
    level = [msgspec.to_builtins(item)]
    for _ in range(MAX_DEPTH + 1):
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            return "have finite numbers only"  # JSON would have null in their place
        inside = [one for one in level if isinstance(one, dict | list | tuple)]
        if not inside:
            return ""
        lists = [one.values() if isinstance(one, dict) else one for one in inside]
        level = [inner for one in lists for inner in one]
    return f"be nested at most {MAX_DEPTH} deep"


@dataclass(slots=True)
class Portion:
    """Items of one call, as they are sent."""

    first: int = 0  # the place of its first item among all
    entries: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def takes(self, entry: bytes) -> bool:
        """Say whether there is room for another item."""
        size = self.size_bytes + len(entry) + 1
        return len(self.entries) < MAX_ITEMS and size <= MAX_CALL_BYTES

    def add(self, entry: bytes) -> None:
        self.entries.append(entry)
        self.size_bytes += len(entry) + 1


def portions(items: Iterable[Any]) -> Iterator[Portion]:
    """Return items in as many portions as there are calls to make. Raises ValueError."""
    portion = Portion()
    for at, given in enumerate(items):
        entry = encoded(given)
        if not portion.takes(entry):
            yield portion
            portion = Portion(at)
        portion.add(entry)
    if portion.entries:
        yield portion


def submit(job: str, entries: list[bytes]) -> Call[Submitted]:
    body = b'{"items":[' + b",".join(entries) + b"]}"
    timeout = _LONG_SECONDS if len(entries) > _FEW_ITEMS or len(body) > 1024**2 else None
    return _call(Submitted, f"{quote(job, safe='')}/items", body, timeout_seconds=timeout)


def all_progress() -> Call[tuple[Progress, ...]]:
    return _call(tuple[Progress, ...], "")


def progress(job: str) -> Call[Progress]:
    return _of(job, Progress, "progress")


def run(job: str) -> Call[Run]:
    return _of(job, Run, "run", b"")


def run_state(job: str, run_id: int) -> Call[Run]:
    return _of(job, Run, f"runs/{run_id}")


def pause(job: str) -> Call[Progress]:
    return _of(job, Progress, "pause", b"")


def resume(job: str) -> Call[Progress]:
    return _of(job, Progress, "resume", b"")


def dead_letters(job: str, limit: int, offset: int, error_type: str) -> Call[DeadLetters]:
    asked = urlencode({"limit": limit, "offset": offset, "error_type": error_type})
    return _of(job, DeadLetters, f"dead-letters?{asked}")


def replay(job: str, ids: Iterable[int] | None) -> Call[Replayed]:
    return _of(job, Replayed, "dead-letters/replay", _which(ids), _LONG_SECONDS)


def discard(job: str, ids: Iterable[int] | None) -> Call[Discarded]:
    return _of(job, Discarded, "dead-letters/discard", _which(ids), _LONG_SECONDS)


def _which(ids: Iterable[int] | None) -> bytes:
    return _encode({"all": True} if ids is None else {"ids": list(ids)})


def _of(
    job: str, answer: type[T], path: str, body: bytes | None = None, timeout: float | None = None
) -> Call[T]:
    return _call(answer, f"{quote(job, safe='')}/{path}", body, timeout_seconds=timeout)


def _call(
    answer: type[T], path: str, body: bytes | None = None, *, timeout_seconds: float | None = None
) -> Call[T]:
    decode = msgspec.json.Decoder(answer).decode

    def read(status: int, content: bytes) -> T:
        if status not in (200, 202):
            raise msgspec.ValidationError
        return decode(content)

    method = "GET" if body is None else "POST"
    where = f"{_BASE}/{path}".rstrip("/")
    return Call(method, where, body or b"", read, BatchesAway, timeout_seconds)

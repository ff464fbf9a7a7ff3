"""What the batch processor's API takes and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from ninja import Field, Schema
from pydantic import model_validator

from optimizer.batches.models import Run
from optimizer.batches.services.submitting import MAX_ITEM_BYTES, MAX_ITEMS, MAX_KEY_LENGTH

MAX_ID = 2**63 - 1
MAX_IDS = 10_000
MAX_OFFSET = 1_000_000
State = Literal["stopped", "paused", "waiting", "working", "idle"]
RunState = Literal["running", "done", "failed", "skipped"]

Key = Annotated[str, msgspec.Meta(max_length=MAX_KEY_LENGTH)]


class EntryIn(msgspec.Struct, forbid_unknown_fields=True):
    """An item with its keys; read without Pydantic, as there may be thousands."""

    item: Any
    key: Key = ""
    order: Key = ""


class SubmitIn(msgspec.Struct, forbid_unknown_fields=True):
    """Many items, or one."""

    items: (
        Annotated[list[EntryIn], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)] | UnsetType
    ) = UNSET
    item: Any = UNSET
    key: Key = ""
    order: Key = ""


_KEY = {"type": "string", "maxLength": MAX_KEY_LENGTH, "default": ""}
_ENTRY = {
    "type": "object",
    "required": ["item"],
    "additionalProperties": False,
    "properties": {
        "item": {
            "description": f"What JSON has, up to {MAX_ITEM_BYTES} bytes of it.",
            "examples": [{"sku": "a-1", "price": "1.50"}],
        },
        "key": {**_KEY, "description": "Idempotency key: an item whose key is known is not taken."},
        "order": {**_KEY, "description": "Ordering key, for jobs that keep the order."},
    },
}
_MANY = {
    "type": "object",
    "required": ["items"],
    "additionalProperties": False,
    "properties": {
        "items": {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": _ENTRY}
    },
}
# How the document shows a body that the view reads itself.
SUBMIT_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"oneOf": [_MANY, _ENTRY]}}},
    }
}


class Strict(Schema):
    """A body without unknown fields or guessed types."""

    model_config = {"extra": "forbid", "strict": True}


class WhichIn(Strict):
    """Dead letters by their ids, or all of the job."""

    ids: list[Annotated[int, Field(ge=1, le=MAX_ID)]] | None = Field(
        default=None, min_length=1, max_length=MAX_IDS
    )
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "WhichIn":
        if (self.ids is None) == (self.all is None):
            raise ValueError("Give ids, or all: true.")
        return self


class SubmittedOut(Schema):
    """How many items were accepted now, and the places of those that were accepted before."""

    accepted: int
    known: list[int]


class ProgressOut(Schema):
    """How far a job is; nulls are what cannot be told yet."""

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


class RunOut(Schema):
    """A run; `total` is known once its source has given all."""

    id: int
    job: str
    trigger: str
    actor: str
    state: RunState
    total: int
    done: int
    failed: int
    message: str
    started_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, run: Run, job: str) -> dict[str, Any]:
        """Return a run as it is answered."""
        own = {name: getattr(run, name) for name in cls.model_fields if name != "job"}
        return {**own, "job": job}


class LetterOut(Schema):
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


class LettersOut(Schema):
    """A page of dead letters, and how many there are."""

    total: int
    dead_letters: list[LetterOut]


class ReplayedOut(Schema):
    """How many dead letters are in the inbox again, and how many a worker puts there."""

    replayed: int
    waiting: int


class DiscardedOut(Schema):
    """How many dead letters are gone for good, and how many a worker deletes."""

    discarded: int
    waiting: int

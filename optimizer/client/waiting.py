"""What a collector has in hand, apart from threads and event loops: what is due, sent, failed."""

import time
from collections import deque
from typing import Any

import msgspec

from optimizer.client.batch_calls import BatchItem, Portion, Submitted
from optimizer.client.protocol import TuneupError
from optimizer.client.retrying import may_pass

DEFAULT_SIZE = 1000
DEFAULT_AGE_SECONDS = 1.0
_FULL_AT = 10  # times the size
_decode = msgspec.json.Decoder(BatchItem).decode


class Waiting:
    """Items that wait to be sent, in order; whoever uses it sees to it that one does at a time."""

    def __init__(self, size: int, age_seconds: float) -> None:
        if size < 1 or age_seconds < 0:
            raise ValueError("size must be at least 1, age_seconds at least 0")
        self.size, self.age_seconds = size, age_seconds
        self.entries: deque[bytes] = deque()
        self.in_hand: list[bytes] = []
        self.flushing = 0  # callers that want all of it sent now
        self.failures = 0
        self.last_error: Exception | None = None
        self.accepted = self.known = 0
        self._due_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether all is sent."""
        return not self.entries and not self.in_hand

    @property
    def is_full(self) -> bool:
        """Whether whoever adds has to wait."""
        return len(self.entries) + len(self.in_hand) >= self.size * _FULL_AT

    @property
    def is_broken(self) -> bool:
        """Whether the last error is one that does not pass by itself."""
        error = self.last_error
        return error is not None and not (isinstance(error, TuneupError) and may_pass(error))

    @property
    def unsent(self) -> list[BatchItem]:
        """The items that are not known to be accepted, with their keys."""
        return [_decode(one) for one in (*self.in_hand, *self.entries)]

    def add(self, entry: bytes) -> None:
        if not self.entries:
            self._due_at = time.monotonic() + self.age_seconds
        self.entries.append(entry)

    def due_in_seconds(self) -> float | None:
        """Return in how many seconds something is to be sent, None while nothing is."""
        if not self.entries or (self.is_broken and not self.flushing):
            return None
        # After trouble a full portion waits for its turn too.
        if self.flushing or (len(self.entries) >= self.size and self.last_error is None):
            return 0.0
        return max(0.0, self._due_at - time.monotonic())

    def take(self) -> list[bytes]:
        """Take a portion in hand."""
        portion = Portion()
        while self.entries and len(portion.entries) < self.size and portion.takes(self.entries[0]):
            portion.add(self.entries.popleft())
        self.in_hand = portion.entries
        return self.in_hand

    def sent(self, done: Submitted) -> None:
        """Note that what is in hand was accepted."""
        self.accepted += done.accepted
        self.known += len(done.known)
        self.in_hand, self.last_error = [], None
        self._due_at = time.monotonic() + self.age_seconds

    def failed(self, error: Exception) -> None:
        """Put back what is in hand; it is tried again, with the same keys."""
        self.entries.extendleft(reversed(self.in_hand))
        self.in_hand, self.last_error = [], error
        self.failures += 1
        self._due_at = time.monotonic() + self.age_seconds


def entry_of(item: Any, key: str, order: str) -> BatchItem:
    """Return an item as it was given to `add`."""
    return item if isinstance(item, BatchItem) else BatchItem(item, key, order)

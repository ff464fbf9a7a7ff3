"""What every sink offers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from optimizer.batches.engine.settings import Job
from optimizer.batches.services.errors import Poison
from optimizer.batches.services.inbox import Taken


@dataclass(slots=True)
class Outcome:
    """What one write did; `rejected` and `again` are places within its rows, with errors."""

    changed: int = 0
    folded: int = 0
    trips: int = 1
    rejected: dict[int, Exception] = field(default_factory=dict)
    again: dict[int, Exception] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """An item that was read, and what the sink makes of it."""

    item: Taken
    value: Any


class Sink:
    """A place that items are written to in bulk.

    A transactional one belongs to the transaction that takes the items from the inbox.
    """

    transactional = False

    def __init__(self, job: Job) -> None:
        self.job = job

    def read(self, item: Taken) -> Row:
        """Return an item as this sink writes it. Raises what is the item's fault."""
        try:
            value = msgspec.json.decode(item.payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Poison from error
        return Row(item, self.convert(value))

    def convert(self, value: Any) -> Any:
        """Return the value as this sink writes it. Raises what is the item's fault."""
        return value

    def write(self, rows: Sequence[Row]) -> Outcome:
        """Write rows, all of them or none where it raises.

        What it raises of `DATA_ERRORS` is put down to one of the rows, what of
        `TRANSIENT_ERRORS` to the world; else the job is to blame.
        """
        raise NotImplementedError

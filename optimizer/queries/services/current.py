"""Which unit the work at hand belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.queries.services.units import Awaiting, Unit

unit: ContextVar["Unit | None"] = ContextVar("queries_unit", default=None)
awaiting: ContextVar["Awaiting | None"] = ContextVar("queries_awaiting", default=None)

# The request that is handled: a test's client makes several from one line.
request: ContextVar[int] = ContextVar("queries_request", default=0)


@contextmanager
def unwatched() -> Iterator[None]:
    """Let the enclosed work belong to no unit."""
    token = unit.set(None)
    try:
        yield
    finally:
        unit.reset(token)

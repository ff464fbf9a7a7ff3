"""Query optimizer: finds every N+1, names its fix, and says what to cache and index."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def watch(*, threshold: int = 2, slow_seconds: float = 0.5) -> Iterator[list[Any]]:
    """Watch the queries of a block; the list of findings is complete when the block has ended.

    A repetition is a finding from `threshold` queries on, a single query from `slow_seconds` on.
    """
    from optimizer.queries.services import capture, mongo
    from optimizer.queries.services.findings import findings_of
    from optimizer.queries.services.units import Unit

    capture.install()
    mongo.install()
    found: list[Any] = []
    unit = Unit()
    try:
        with capture.watching(unit):
            yield found
    finally:
        told = findings_of(unit, threshold=threshold, slow_seconds=slow_seconds)
        found.extend(finding for _, finding in told)

"""What the optimizer has done in the last hour, over all processes, and whether it is read."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Sum

from optimizer.control.redis import call, server_time
from optimizer.queries.models import Checkpoint, Finding
from optimizer.queries.models.findings import State
from optimizer.queries.services.reporter import STREAM, series


@dataclass(frozen=True, slots=True)
class Activity:
    """The counts of the last hour by slots of ten seconds, and summed."""

    times: list[int]
    counts: dict[str, list[int]]
    totals: Counter[str]

    def of(self, name: str) -> list[int]:
        """Return a count by slot."""
        return self.counts.get(name) or [0] * len(self.times)

    @property
    def watched_ratio(self) -> float:
        """The share of the units that were watched; 1 where there was none."""
        units = self.totals["watched"] + self.totals["skipped"]
        return self.totals["watched"] / units if units else 1.0

    @property
    def own_ratio(self) -> float:
        """The share of the units' time that watching took."""
        return self.totals["own_us"] / self.totals["units_us"] if self.totals["units_us"] else 0.0


@dataclass(frozen=True, slots=True)
class Reader:
    """How far a worker has read what processes told."""

    waiting: int  # intervals
    oldest_seconds: float
    read_at: datetime | None  # the last time there was something to read


@dataclass(frozen=True, slots=True)
class OfKind:
    """The open findings of one kind."""

    kind: str
    count: int
    lost_seconds: float

    @property
    def title(self) -> str:
        """The kind in words."""
        return str(Finding.Kind(self.kind).label)


def activity() -> Activity:
    """Return what was counted in the last hour. Raises RedisAway."""
    times, counts = series.read()
    return Activity(times, counts, Counter({name: sum(one) for name, one in counts.items()}))


def waiting() -> tuple[int, float]:
    """Return how many intervals wait to be read, and the oldest's age in seconds.

    Raises RedisAway.
    """
    found: tuple[Any, int, float] = call(
        lambda r: (r.xrange(STREAM, count=1), r.xlen(STREAM), server_time(r))
    )
    oldest, length, now = found
    age_seconds = now - int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else 0.0
    return length, max(0.0, age_seconds)


def reader() -> Reader:
    """Return how far the reading is. Raises RedisAway."""
    length, oldest_seconds = waiting()
    read_at = Checkpoint.objects.values_list("read_at", flat=True).first()
    return Reader(length, oldest_seconds, read_at)


def open_by_kind() -> list[OfKind]:
    """Return the open findings by kind, the one that loses most first."""
    rows = (
        Finding.objects.filter(state=State.OPEN)
        .values("kind")
        .annotate(number=Count("pk"), lost=Sum("lost_seconds"))
        .order_by("-lost", "kind")
    )
    return [
        OfKind(one["kind"], one["number"], one["lost"])
        for one in rows
        if one["kind"] in Finding.Kind.values
    ]


def worst_findings(most: int = 5) -> list[Finding]:
    """Return the open findings that lose most time."""
    return list(Finding.objects.filter(state=State.OPEN).order_by("-lost_seconds", "pk")[:most])

"""What one pool of this process did: counters that only grow, and how durations are spread."""

from collections.abc import Sequence
from typing import Any

import msgspec

from optimizer.measures.histogram import BUCKETS, Histogram, bucket_of


class Gauges(msgspec.Struct, frozen=True):
    """How a pool stands now. `size` counts open connections; `waiting` callers without one."""

    size: int = 0
    idle: int = 0
    in_use: int = 0
    waiting: int = 0
    held_at_once: int = 0  # the most connections that one thread holds


class Totals(msgspec.Struct):
    """Counters since a pool began; histograms are counts by bucket, without the empty ones.

    `acquired` counts check-outs, `queued` those that had to wait, `timeouts` those that waited in
    vain; `lost` are connections found broken, `leaked` those held past the threshold.
    """

    acquired: int = 0
    queued: int = 0
    timeouts: int = 0
    created: int = 0
    closed: int = 0
    errors: int = 0
    lost: int = 0
    leaked: int = 0
    wait_seconds: float = 0.0
    use_seconds: float = 0.0
    connect_seconds: float = 0.0
    waits: dict[int, int] = {}
    uses: dict[int, int] = {}
    connects: dict[int, int] = {}

    def plus(self, other: "Totals") -> "Totals":
        """Return the sum of both."""
        return self._with(other, 1)

    def since(self, earlier: "Totals") -> "Totals":
        """Return what came after `earlier`, which is of the same pool."""
        return self._with(earlier, -1)

    @property
    def reuse_ratio(self) -> float:
        """Which part of all check-outs needed no new connection, from 0 to 1."""
        return max(0.0, 1 - self.created / self.acquired) if self.acquired else 0.0

    @property
    def saved_seconds(self) -> float:
        """The time that connecting anew for each check-out would have taken on top."""
        if not self.created:
            return 0.0
        return self.connect_seconds / self.created * max(0, self.acquired - self.created)

    @property
    def mean_use_seconds(self) -> float:
        """How long a connection is held on average."""
        returned = sum(self.uses.values())
        return self.use_seconds / returned if returned else 0.0

    def wait_percentile(self, fraction: float) -> float:
        """Return the seconds that this fraction of all check-outs waited at most."""
        # Who did not have to wait is in no bucket.
        rank = fraction * self.acquired - (self.acquired - self.queued)
        if rank <= 0 or not self.queued:
            return 0.0
        return percentile(self.waits, min(1.0, rank / self.queued))

    def percentiles(self) -> dict[str, float]:
        """Return the percentiles that are told, in seconds, by name."""
        return {
            "wait_p50_seconds": self.wait_percentile(0.5),
            "wait_p99_seconds": self.wait_percentile(0.99),
            "use_p50_seconds": percentile(self.uses, 0.5),
            "use_p99_seconds": percentile(self.uses, 0.99),
            "connect_p50_seconds": percentile(self.connects, 0.5),
        }

    def _with(self, other: "Totals", sign: int) -> "Totals":
        added: dict[str, Any] = {}
        for name in self.__struct_fields__:
            mine, its = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                both = {at: mine.get(at, 0) + sign * its.get(at, 0) for at in {**mine, **its}}
                added[name] = {at: count for at, count in both.items() if count > 0}
            else:
                added[name] = mine + sign * its
        return Totals(**added)


def percentile(counts: dict[int, int], fraction: float) -> float:
    """Return the seconds that this fraction of counted durations are no longer than."""
    histogram = Histogram()
    for bucket, count in counts.items():
        histogram.add_bucket(bucket, count)
    return histogram.percentile(fraction)


class Statistics:
    """Counts of one pool, made on the hot path.

    Nothing is locked: within `x += 1` CPython switches no thread, and where it could, a count
    would be lost, no more.
    """

    __slots__ = (
        "acquired", "closed", "connect_seconds", "connects", "created", "errors", "leaked", "lost",
        "queued", "timeouts", "use_seconds", "uses", "wait_seconds", "waits",
    )  # fmt: skip

    def __init__(self) -> None:
        self.acquired = self.queued = self.timeouts = 0
        self.created = self.closed = self.errors = self.lost = self.leaked = 0
        self.wait_seconds = self.use_seconds = self.connect_seconds = 0.0
        self.waits, self.uses, self.connects = ([0] * BUCKETS for _ in range(3))

    def waited(self, seconds: float) -> None:
        """Count a check-out that had to wait."""
        self.wait_seconds += seconds
        self.waits[bucket_of(seconds)] += 1

    def used(self, seconds: float) -> None:
        """Count a connection that came back."""
        self.use_seconds += seconds
        self.uses[bucket_of(seconds)] += 1

    def connected(self, seconds: float) -> None:
        """Count a connection that was made."""
        self.created += 1
        self.connect_seconds += seconds
        self.connects[bucket_of(seconds)] += 1

    def totals(self) -> Totals:
        """Return the counters as they stand."""
        plain = {name: getattr(self, name) for name in Totals.__struct_fields__}
        for name in ("waits", "uses", "connects"):
            plain[name] = _filled(plain[name])
        return Totals(**plain)


def _filled(counts: Sequence[int]) -> dict[int, int]:
    return {at: count for at, count in enumerate(counts) if count}

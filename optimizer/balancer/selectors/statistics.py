"""What was done lately, over all processes and the clients that told of it."""

from collections import Counter
from dataclasses import dataclass, field

from optimizer.balancer.engine.histogram import percentiles
from optimizer.balancer.services import reporter
from optimizer.control.series import SLOT_SECONDS


@dataclass(slots=True)
class BackendFigures:
    """One backend's calls; `slots` counts picks in each ten seconds."""

    slots: list[int]
    failed_slots: list[int]
    picks: int = 0
    ok: int = 0
    failed: int = 0
    unreported: int = 0
    latencies: Counter[int] = field(default_factory=Counter)

    @property
    def success_ratio(self) -> float | None:
        """The share of ended calls that succeeded; None where none has ended."""
        ended = self.ok + self.failed
        return self.ok / ended if ended else None

    @property
    def percentiles(self) -> list[float]:
        """The seconds within which 50, 95 and 99 % of the calls ended."""
        return percentiles(self.latencies, (0.5, 0.95, 0.99))


@dataclass(frozen=True, slots=True)
class Figures:
    """The calls of one group by backend, and the starts of the slots."""

    times: list[int]
    backends: dict[str, BackendFigures]

    @property
    def picks(self) -> int:
        return sum(one.picks for one in self.backends.values())

    @property
    def calls_per_second(self) -> float:
        """The rate of the slots in which there were calls."""
        busy = [
            sum(found) for found in zip(*(b.slots for b in self.backends.values()), strict=True)
        ]
        with_calls = [count for count in busy if count]
        return sum(with_calls) / (len(with_calls) * SLOT_SECONDS) if with_calls else 0.0


LATELY_SECONDS = 600
HOUR_SECONDS = 3600


def figures(latency_seconds: int = LATELY_SECONDS) -> dict[str, Figures]:
    """Return what was counted in the last hour, by group; latencies are of less. Raises RedisAway.

    They are the most of it: an hour of them is for who needs it.
    """
    times, counts = reporter.series.read(HOUR_SECONDS)
    groups: dict[str, Figures] = {}

    def backend(group: str, name: str) -> BackendFigures:
        found = groups.setdefault(group, Figures(times, {})).backends
        if name not in found:
            found[name] = BackendFigures([0] * len(times), [0] * len(times))
        return found[name]

    for name, values in counts.items():
        group, own, what = name.split("/")
        one, total = backend(group, own), sum(values)
        if what == reporter.PICKS:
            one.picks, one.slots = total, values
        elif what == reporter.OK:
            one.ok = total
        elif what == reporter.FAILED:
            one.failed, one.failed_slots = total, values
        else:
            one.unreported = total
    for name, values in reporter.latencies.read(latency_seconds)[1].items():
        group, own, bucket = name.split("/")
        backend(group, own).latencies[int(bucket)] = sum(values)
    return groups

"""What was done in the last hour, over all processes and the clients that told of it."""

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


def figures(seconds: int = 3600) -> dict[str, Figures]:
    """Return what was counted, by group. Raises RedisAway."""
    times, counts = reporter.series.read(seconds)
    groups: dict[str, Figures] = {}
    for name, values in counts.items():
        group, backend, what = name.split("/")
        found = groups.setdefault(group, Figures(times, {})).backends
        one = found.get(backend)
        if one is None:
            one = found[backend] = BackendFigures([0] * len(times), [0] * len(times))
        total = sum(values)
        if what == reporter.PICKS:
            one.picks, one.slots = total, values
        elif what == reporter.OK:
            one.ok = total
        elif what == reporter.FAILED:
            one.failed, one.failed_slots = total, values
        elif what == reporter.DROPPED:
            one.unreported = total
        else:
            one.latencies[int(what[len(reporter.BUCKET) :])] = total
    return groups

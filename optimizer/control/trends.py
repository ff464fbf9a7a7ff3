"""A line over time with its gaps, as SVG that the server draws: no script, no network."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from optimizer.control.charts import HEIGHT, WIDTH, round_up
from optimizer.control.units import format_measured

_FAR = 3.0  # a limit so many times above all values would flatten the line


@dataclass(frozen=True, slots=True)
class Limit:
    """A value that is drawn across; `kind` is its colour."""

    name: str
    value: float
    kind: str


@dataclass(frozen=True, slots=True)
class Trend:
    """A value over time; None is a gap.

    `times` are the starts of slots of one length (seconds since the epoch). `least` and `most` are
    the bounds of what was measured in each slot.
    """

    title: str
    unit: str
    times: Sequence[int]
    values: Sequence[float | None]
    least: Sequence[float | None]
    most: Sequence[float | None]
    limits: Sequence[Limit] = ()
    time_format: str = "H:i"

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def top(self) -> float:
        """The upper end of the scale: a round number, not below what is drawn."""
        highest = max((one for one in self.most if one is not None), default=0.0)
        near = [one.value for one in self.limits if one.value <= _FAR * highest]
        return _round_up(max([highest, *near]), self.unit)

    @property
    def lines(self) -> list[str]:
        """The points of the line, apart where there is a gap."""
        return [" ".join(self._points(run, self.values)) for run in self._runs()]

    @property
    def bands(self) -> list[str]:
        """The polygons between the bounds."""
        return [
            " ".join([*self._points(run, self.most), *self._points(run, self.least)[::-1]])
            for run in self._runs()
            if any(self.least[at] != self.most[at] for at in run)
        ]

    @property
    def gaps(self) -> list[tuple[str, str]]:
        """Where each gap begins, and how wide it is."""
        runs = [run for known, run in self._grouped() if not known]
        return [(f"{run[0] * self._step:.1f}", f"{len(run) * self._step:.1f}") for run in runs]

    @property
    def drawn_limits(self) -> list[tuple[Limit, str]]:
        """The limits within the scale, with their heights."""
        top = self.top
        return [(one, f"{self._y(one.value):.1f}") for one in self.limits if 0 <= one.value <= top]

    @property
    def scale(self) -> tuple[str, str]:
        """The labels of the upper end and the middle; the title's value has the unit."""
        unit = self.unit if self.unit in ("seconds", "bytes") else ""
        return format_measured(self.top, unit), format_measured(self.top / 2, unit)

    @property
    def last(self) -> str:
        """The last value in words."""
        value = self.values[-1] if self.values else None
        return "no value" if value is None else format_measured(value, self.unit)

    @property
    def ends(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last time."""
        if not self.times:
            return None, None
        first, last = self.times[0], self.times[-1]
        return datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)

    @property
    def is_empty(self) -> bool:
        return all(one is None for one in self.values)

    @property
    def summary(self) -> str:
        """The trend in words, for who does not see it."""
        if self.is_empty:
            return f"{self.title}: nothing is known"
        known = [one for one in self.values if one is not None]
        low, high = (format_measured(one, self.unit) for one in (min(known), max(known)))
        gaps = len(self.gaps)
        told = f", {gaps} gap{'' if gaps == 1 else 's'}" if gaps else ""
        return f"{self.title}: now {self.last}, from {low} to {high}{told}"

    @property
    def _step(self) -> float:
        return WIDTH / max(1, len(self.times))

    def _grouped(self) -> Iterator[tuple[bool, list[int]]]:
        places = range(len(self.values))
        for known, run in groupby(places, key=lambda at: self.values[at] is not None):
            yield known, list(run)

    def _runs(self) -> list[list[int]]:
        return [run for known, run in self._grouped() if known]

    def _points(self, run: Sequence[int], values: Sequence[float | None]) -> list[str]:
        """Return the middles of the slots; the first and the last reach to their slot's edge."""
        step = self._step
        heights = [self._y(values[at] or 0.0) for at in run]
        middles = [f"{(at + 0.5) * step:.1f},{y:.1f}" for at, y in zip(run, heights, strict=True)]
        begin = f"{run[0] * step:.1f},{heights[0]:.1f}"
        return [begin, *middles, f"{(run[-1] + 1) * step:.1f},{heights[-1]:.1f}"]

    def _y(self, value: float) -> float:
        return HEIGHT - max(0.0, value) * HEIGHT / self.top


def _round_up(value: float, unit: str) -> float:
    """Return a round number that is not below; of bytes one that is round in kB, MB or GB."""
    size = 1024.0 ** min(3, int(math.log(value, 1024))) if unit == "bytes" and value > 1 else 1.0
    return round_up(value / size) * size

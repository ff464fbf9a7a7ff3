"""Charts as SVG that the server draws: no script, no network, the same in every component."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

WIDTH, HEIGHT = 720, 160  # of the drawing; the page stretches it


@dataclass(frozen=True, slots=True)
class Line:
    """One series; `kind` is the colour: ok, wait, bad or plain."""

    name: str
    kind: str
    values: Sequence[float]

    @property
    def last(self) -> float:
        return self.values[-1] if self.values else 0.0


@dataclass(frozen=True, slots=True)
class Area:
    """A drawn series: the points of its polygon, stacked on those before it."""

    name: str
    kind: str
    points: str
    last: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A stacked area chart over time.

    `times` are seconds since the epoch; each line has a value for each. Values are in `unit`.
    """

    title: str
    unit: str
    times: Sequence[int]
    lines: Sequence[Line]

    @property
    def top(self) -> float:
        """The upper end of the scale: a round number, not below the largest sum."""
        sums = [sum(values) for values in zip(*(line.values for line in self.lines), strict=True)]
        return _round_up(max(sums, default=0.0))

    @property
    def areas(self) -> list[Area]:
        """The polygons, the lowest first."""
        top, count = self.top, max(1, len(self.times) - 1)
        below = [0.0] * len(self.times)
        areas = []
        for line in self.lines:
            above = [base + value for base, value in zip(below, line.values, strict=True)]
            forth = [_point(at, value, count, top) for at, value in enumerate(above)]
            back = [_point(at, value, count, top) for at, value in enumerate(below)]
            areas.append(Area(line.name, line.kind, " ".join(forth + back[::-1]), line.last))
            below = above
        return areas

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def scale(self) -> tuple[float, float]:
        """The labels of the upper end and the middle."""
        return self.top, self.top / 2

    @property
    def ends(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last time."""
        if not self.times:
            return None, None
        return datetime.fromtimestamp(self.times[0], UTC), datetime.fromtimestamp(
            self.times[-1], UTC
        )

    @property
    def summary(self) -> str:
        """The chart in words, for who does not see it."""
        parts = [f"{line.name} {line.last:g}" for line in self.lines]
        return f"{self.title}: now {', '.join(parts)} {self.unit}; at most {self.top:g}"

    @property
    def is_empty(self) -> bool:
        return not any(any(line.values) for line in self.lines)


def _point(at: int, value: float, count: int, top: float) -> str:
    return f"{at * WIDTH / count:.1f},{HEIGHT - value * HEIGHT / top:.1f}"


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50 …"""
    if value <= 0:
        return 1.0
    step = 10.0 ** (len(f"{int(value)}") - 1) if value >= 1 else 0.1
    return next(step * by for by in (1, 2, 5, 10) if step * by >= value)

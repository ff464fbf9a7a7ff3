"""Charts as SVG that the server draws: no script, no network, the same in every component."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

WIDTH, HEIGHT = 720, 160  # of the drawing; the page stretches it
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """One series; `kind` is the colour: ok, wait, bad, plain, teal, pink or quiet."""

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
    time_format: str = "H:i"

    @property
    def top(self) -> float:
        """The upper end of the scale: a round number, not below the largest sum."""
        sums = [sum(values) for values in zip(*(line.values for line in self.lines), strict=True)]
        return round_up(max(sums, default=0.0))

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


def round_up(value: float) -> float:
    """Return the next of … 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50 …"""
    if value <= 0:
        return 1.0
    power = math.floor(math.log10(value))
    steps = (float(f"{by}e{power}") for by in (1, 2, 5, 10, 20))
    return next(step for step in steps if step >= value)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on a profile that is pointed out; `kind` is its colour."""

    x: float
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A line over a quantity, from 0 on both axes: `points` are x and y, by rising x.

    `top` is the upper end of y; `left` and `right` label the ends of x.
    """

    title: str
    unit: str
    points: Sequence[tuple[float, float]]
    top: float
    left: str
    right: str
    marks: Sequence[Mark] = ()

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def outline(self) -> str:
        """The polygon under the line."""
        line = [self._place(x, y) for x, y in self.points]
        return " ".join([f"0,{HEIGHT}", *line, f"{WIDTH},{HEIGHT}"])

    @property
    def placed_marks(self) -> list[tuple[Mark, float, float]]:
        """The marks with their places, in per cent from the left."""
        widest = self._widest
        return [(one, one.x / widest * WIDTH, one.x / widest * 100) for one in self.marks]

    @property
    def scale(self) -> tuple[float, float]:
        """The labels of the upper end and the middle."""
        return self.top, self.top / 2

    @property
    def summary(self) -> str:
        """The profile in words, for who does not see it."""
        told = ", ".join(f"{one.label} at {self.y_at(one.x):.0f} {self.unit}" for one in self.marks)
        return f"{self.title}: {told}"

    def y_at(self, x: float) -> float:
        """Return the height of the line at a place, between its points as they are joined."""
        before = (0.0, 0.0)
        for point in self.points:
            if point[0] >= x:
                width = point[0] - before[0]
                part = (x - before[0]) / width if width else 1.0
                return before[1] + part * (point[1] - before[1])
            before = point
        return before[1]

    @property
    def _widest(self) -> float:
        return max((x for x, _ in self.points), default=1.0) or 1.0

    def _place(self, x: float, y: float) -> str:
        return f"{x / self._widest * WIDTH:.1f},{HEIGHT - y / self.top * HEIGHT:.1f}"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram; `kind` is its colour."""

    label: str
    value: float
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart of values in classes that follow one another; `unit` is what the bars count."""

    title: str
    unit: str
    bars: Sequence[Bar]

    @property
    def view_box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def top(self) -> float:
        """The upper end of the scale."""
        return round_up(max((one.value for one in self.bars), default=0.0))

    @property
    def scale(self) -> tuple[float, float]:
        """The labels of the upper end and the middle."""
        return self.top, self.top / 2

    @property
    def placed(self) -> list[tuple[Bar, str, str, str, str]]:
        """The bars, each with its x, y, width and height in the drawing."""
        step = WIDTH / max(1, len(self.bars))
        drawn = []
        for at, one in enumerate(self.bars):
            height = one.value / self.top * HEIGHT
            numbers = (at * step + step * 0.06, HEIGHT - height, step * 0.88, height)
            x, y, width, height_text = (f"{number:.1f}" for number in numbers)
            drawn.append((one, x, y, width, height_text))
        return drawn

    @property
    def summary(self) -> str:
        """The bars in words, for who does not see them."""
        told = ", ".join(f"{one.label}: {one.value:g}" for one in self.bars if one.value)
        return f"{self.title}, {self.unit}: {told or 'nothing'}"

    @property
    def ticks(self) -> list[str]:
        """The bars' labels, "" for those that would not find room."""
        every = -(-len(self.bars) // _MOST_TICKS) or 1
        last = len(self.bars) - 1
        return [one.label if (last - at) % every == 0 else "" for at, one in enumerate(self.bars)]

"""Progress on a terminal or in a log: bars that are drawn anew, or lines that have changed."""

from collections.abc import Sequence
from typing import Any

from optimizer.batches.selectors import Progress

_WIDTH = 24
_UP, _CLEAR = "\x1b[{}A", "\x1b[2K"


def line(one: Progress) -> str:
    """Return a job's progress in one line."""
    says = f"{one.job}: {one.state}, {one.left} left, {one.done} done, {one.failed} failed"
    if one.dead_letters:
        says += f", {one.dead_letters} dead letters"
    if one.rate_per_second:
        says += f", {one.rate_per_second:g}/s"
    if one.eta_seconds is not None:
        says += f", {_duration(one.eta_seconds)} to go"
    return f"{says} ({one.because})" if one.because else says


def bar(name: str, fraction: float, says: str) -> str:
    """Return a bar for a terminal."""
    full = round(_WIDTH * min(1.0, max(0.0, fraction)))
    return f"{name:<20} [{'#' * full}{'.' * (_WIDTH - full)}] {fraction:4.0%} {says}"


def bar_of(one: Progress) -> str:
    """Return a job's bar."""
    return bar(one.job, one.fraction, line(one).partition(": ")[2])


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


class Screen:
    """Shows lines: on a terminal in place of the ones before, else only those that have changed."""

    def __init__(self, out: Any, width: int = 0) -> None:
        self._out, self._width = out, width
        self.is_terminal = bool(out.isatty())
        self._before: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Show lines."""
        if not self.is_terminal:
            for one in lines:
                if one not in self._before:
                    self._out.write(one)
            self._before = list(lines)
            return
        text = _UP.format(len(self._before)) if self._before else ""
        for one in lines:
            shown = one[: self._width - 1] if self._width else one
            text += f"{_CLEAR}{shown}\n"
        self._before = list(lines)
        self._out.write(text, ending="")
        self._out.flush()

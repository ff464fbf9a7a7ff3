"""When an alert fires and when it is over: a threshold with a delay, and a second one to clear.

The delay is that of Prometheus' `for`; the two thresholds are those of a Schmitt trigger
(O. H. Schmitt, "A thermionic trigger", 1938).
"""

from dataclasses import dataclass

OK, PENDING, FIRING = "ok", "pending", "firing"


@dataclass(frozen=True, slots=True)
class Threshold:
    """`is_above` says on which side the trouble is; `clear` is not on that side of `limit`."""

    is_above: bool
    limit: float
    clear: float
    for_seconds: float

    def is_passed(self, value: float) -> bool:
        """Say whether a value is in trouble."""
        return value > self.limit if self.is_above else value < self.limit

    def is_clear(self, value: float) -> bool:
        """Say whether a value is out of trouble."""
        return value <= self.clear if self.is_above else value >= self.clear


@dataclass(frozen=True, slots=True)
class Standing:
    """A state, and since when (seconds since the epoch)."""

    state: str
    since: float


def step(now: Standing, value: float | None, at: float, threshold: Threshold) -> Standing:
    """Return how the alert stands with the value of the minute `at`.

    Without a value (None) a delay starts anew, and what fires goes on: nothing says it is over.
    """
    if now.state == FIRING:
        over = value is not None and threshold.is_clear(value)
        return Standing(OK, at) if over else now
    if value is None or not threshold.is_passed(value):
        return now if now.state == OK else Standing(OK, at)
    begun = now.since if now.state == PENDING else at
    if at - begun >= threshold.for_seconds:
        return Standing(FIRING, at)
    return Standing(PENDING, begun)

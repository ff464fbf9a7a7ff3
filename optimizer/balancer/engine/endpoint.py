"""One backend as this process sees it: what is under way, how it went, and whether it may be used.

In-flight counts and averages stay in the process: shared ones that are some milliseconds old send
all callers to the same backend.
"""

from math import exp

from optimizer.balancer.engine.histogram import bucket_of, new_counts
from optimizer.balancer.engine.settings import UNBOUNDED, Backend

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"


class Endpoint:
    """The state of a backend in this process; its group's lock guards what is counted.

    `ewma` is the peak exponentially weighted moving average of seconds a call, 0 where nothing is
    known. `limit` is how many calls may be under way: 0 keeps the endpoint from being picked.
    """

    __slots__ = (
        "address",
        "backend",
        "breaker",
        "consecutive",
        "counts",
        "dropped",
        "ejected_until",
        "ewma",
        "failures",
        "healthy",
        "in_flight",
        "lag_seconds",
        "limit",
        "name",
        "observed_at",
        "pace",
        "picks",
        "probes",
        "reason",
        "since",
        "successes",
        "times_ejected",
        "told",
        "total_seconds",
        "weight",
        "window",
    )

    def __init__(self, backend: Backend, now: float, *, known: bool = True) -> None:
        self.backend, self.name, self.address = backend, backend.name, backend.address
        self.weight = self.pace = float(backend.weight)
        self.limit = UNBOUNDED
        self.in_flight = 0
        self.ewma, self.observed_at = 0.0, now
        self.picks = self.successes = self.failures = self.dropped = 0
        self.total_seconds, self.counts = 0.0, new_counts()
        self.window = Window()
        self.consecutive = 0
        self.breaker, self.ejected_until, self.times_ejected = CLOSED, 0.0, 0
        self.reason, self.told, self.probes = "", True, 0
        self.healthy: bool | None = None  # by active checks; None where there are none
        self.lag_seconds = 0.0
        # When it came (back) into use, for its slow start; those there at first need none.
        self.since = float("-inf") if known else now

    @property
    def is_offered(self) -> bool:
        """Whether an admin offers it for new calls."""
        return self.backend.enabled and not self.backend.draining

    @property
    def is_healthy(self) -> bool:
        """Whether neither checks nor its calls speak against it."""
        return self.breaker != OPEN and self.healthy is not False

    def observe(self, seconds: float, now: float, decay_seconds: float) -> None:
        """Let the average rise at once, and fall by exp(-dt / decay).

        Source: peak EWMA, Finagle's p2cPeakEwma.
        """
        if seconds > self.ewma:
            self.ewma = seconds
        else:
            share = exp((self.observed_at - now) / decay_seconds)
            self.ewma = self.ewma * share + seconds * (1.0 - share)
        self.observed_at = now

    def record(self, seconds: float, failed: bool) -> None:
        """Count a call that has ended."""
        self.total_seconds += seconds
        self.counts[bucket_of(seconds)] += 1
        window = self.window
        if failed:
            self.failures += 1
            self.consecutive += 1
            window.failures += 1
        else:
            self.successes += 1
            self.consecutive = 0
            window.successes += 1
            window.seconds += seconds


class Window:
    """What outlier detection looks at: halved after each look, so that old calls fade."""

    __slots__ = ("failures", "seconds", "successes")

    def __init__(self) -> None:
        self.successes = self.failures = 0.0
        self.seconds = 0.0  # of the successes

    @property
    def requests(self) -> float:
        return self.successes + self.failures

    def fade(self) -> None:
        """Halve what was counted."""
        self.successes /= 2
        self.failures /= 2
        self.seconds /= 2

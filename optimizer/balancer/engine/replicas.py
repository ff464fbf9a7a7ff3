"""What a process knows of the replicas of a database, and which of them may serve a read."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from optimizer.balancer.engine.lsn import end_of_records

FRESH_SECONDS = 1.5  # a replica that was not seen for longer is taken to be away
_SAMPLES = 600

AWAY, NO_STANDBY, LAG, OWN_WRITE = "away", "no standby", "lag", "own write"


class Trail:
    """Where the primary's log was when, by which a replica's lag is told without its clock.

    A replica that has replayed what was there at a time lags since then. Neither clocks that differ
    nor a primary that writes nothing, nor a replica that receives nothing, lead astray.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def add(self, at: float, position: int) -> None:
        """Note where the primary's records ended at a time."""
        samples = self._samples
        if len(samples) > 1 and samples[-1][1] == samples[-2][1] == position:
            samples.pop()  # the first and the last time of a position are enough
        samples.append((at, position))

    def lag_seconds(self, position: int, now: float, estimate_seconds: float) -> float:
        """Return how old the data of who has replayed up to a position is.

        `estimate_seconds`, the age of the last replayed commit, serves beyond what was noted.
        """
        for at, passed in reversed(self._samples):
            if passed <= position:
                return max(0.0, now - at)
        oldest = self._samples[0][0] if self._samples else now
        return max(now - oldest, estimate_seconds)


@dataclass(slots=True)
class Replica:
    """One replica as this process last saw it, at `seen_at` of the process's clock."""

    alias: str
    position: int = 0
    seen_at: float = float("-inf")
    lag_seconds: float = float("inf")
    is_standby: bool = True
    says: str = ""

    def seen(self, at: float, position: int, lag_seconds: float) -> None:
        """Take over what a look found."""
        self.position, self.seen_at, self.lag_seconds = position, at, lag_seconds
        self.is_standby, self.says = True, ""

    def is_no_standby(self, at: float, says: str) -> None:
        """Take over that it does not follow this primary."""
        self.seen_at, self.is_standby, self.says = at, False, says

    def lost(self, says: str) -> None:
        """Leave it alone until a look finds it again."""
        self.seen_at, self.says = float("-inf"), says

    def compare(self, primary_at: float, primary_position: int) -> None:
        """Find out whether it is ahead of its primary, as seen later: then it follows another."""
        if self.seen_at < primary_at and self.position > primary_position:
            self.is_no_standby(self.seen_at, "it is ahead of the primary: it follows another one")

    def why_not(self, required: int, now: float, max_lag_seconds: float) -> str:
        """Return why it may not serve a read that must see `required`; "" where it may."""
        if now - self.seen_at > FRESH_SECONDS:
            return AWAY
        if not self.is_standby:
            return NO_STANDBY
        if self.lag_seconds > max_lag_seconds:
            return LAG
        # What was seen stays true: a standby never goes back.
        return "" if self.position >= end_of_records(required) else OWN_WRITE


def main_reason(reasons: Iterable[str]) -> str:
    """Return the reason to tell where none could serve: the one that passes soonest."""
    given = set(reasons)
    return next((one for one in (OWN_WRITE, LAG, NO_STANDBY) if one in given), AWAY)

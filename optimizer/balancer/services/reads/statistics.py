"""How many reads went where, and why: told once a second, to Prometheus and to the charts."""

import os
import threading
from collections import Counter

from optimizer.balancer import metrics
from optimizer.control.redis import RedisAway
from optimizer.control.series import Series

# Where reads went is told as <alias>|<reason>; these two stand beside it.
AVOIDED, REDONE = "avoided", "redone"
series = Series("balancer-reads")


class Statistics:
    """Counts of this process since it last told them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, alias: str, reason: str = "", *, avoided: bool = False) -> None:
        """Count a read that was sent somewhere; `avoided` one that a replica would have failed."""
        with self._lock:
            self._counts[alias, reason] += 1
            if avoided:
                self._counts[AVOIDED, ""] += 1

    def count_redone(self, alias: str) -> None:
        """Count a read that a replica did not answer and the primary did."""
        with self._lock:
            self._counts[REDONE, alias] += 1

    def report(self) -> None:
        """Tell what was counted."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts and not series.has_unsent:
            return
        for (what, reason), count in counts.items():
            if what == AVOIDED:
                metrics.STALE_READS_AVOIDED.inc(count)
            elif what == REDONE:
                metrics.READS_REDONE.labels(reason).inc(count)
            else:
                metrics.READS.labels(what, reason or "balanced").inc(count)
        series.add({f"{what}|{reason}": count for (what, reason), count in counts.items()})
        try:
            series.send()
        except RedisAway:
            return


def _after_fork() -> None:
    global series
    statistics.__init__()  # type: ignore[misc]
    series = Series("balancer-reads")


statistics = Statistics()
os.register_at_fork(after_in_child=_after_fork)


def report() -> None:
    """Tell what this process counted."""
    statistics.report()

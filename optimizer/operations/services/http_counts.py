"""The requests of this process, told to Redis once a second, so that all can be summed.

They are read from the process's own Prometheus metrics: a request pays nothing more.
"""

import os
from collections import Counter

from optimizer.control.redis import RedisAway
from optimizer.control.series import Series
from optimizer.operations.metrics import DURATION, REQUESTS

# What monitors the system is none of its work.
PROBES = ("health", "ready", "metrics")
REQUESTS_NAME, ERRORS_NAME, BUCKET_NAME = "requests", "server_errors", "le|"


class Reporter:
    """Tells what grew since the last report."""

    def __init__(self) -> None:
        self.series = Series("http")
        self._before: Counter[str] | None = None

    def report(self) -> None:
        """Report once; while Redis is away the counts are kept for later."""
        now = counted()
        # What was counted before the first look may be of an earlier process of this number.
        before = now if self._before is None else self._before
        self._before = now
        self.series.add({name: more for name in now if (more := now[name] - before[name]) > 0})
        try:
            self.series.send()
        except RedisAway:
            return


def counted() -> Counter[str]:
    """Return this process's requests, 5xx answers, and requests by the bucket of their time."""
    found: Counter[str] = Counter()
    for metric in REQUESTS.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["route"] not in PROBES:
                found[REQUESTS_NAME] += int(sample.value)
                if sample.labels["status"].startswith("5"):
                    found[ERRORS_NAME] += int(sample.value)
    for metric in DURATION.collect():
        for sample in metric.samples:
            if sample.name.endswith("_bucket") and sample.labels["route"] not in PROBES:
                found[BUCKET_NAME + sample.labels["le"]] += int(sample.value)
    return found


reporter = Reporter()


def report() -> None:
    """Report what this process counted."""
    reporter.report()


def _after_fork() -> None:
    global reporter
    reporter = Reporter()


os.register_at_fork(after_in_child=_after_fork)

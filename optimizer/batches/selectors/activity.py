"""What jobs did in the last hour, what they wait for, and how long their chunks took."""

from dataclasses import dataclass
from datetime import datetime

from optimizer.batches.engine.settings import Job
from optimizer.batches.models import Callback, JobState, Run
from optimizer.batches.selectors.progress import Progress
from optimizer.batches.services import reporter
from optimizer.batches.services.callbacks import MAX_ATTEMPTS
from optimizer.batches.services.reporter import OUTCOMES

_BUCKETS_OF_A_BAR = 4  # so that each bar is twice as long as the one before
_MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Hour:
    """Counts of slots that follow one another, by outcome."""

    times: list[int]
    counts: dict[str, list[int]]

    def sum_of(self, outcome: str) -> int:
        """Return how many there were in all."""
        return sum(self.counts[outcome])


def last_hour(jobs: list[str]) -> tuple[Hour, dict[str, Hour]]:
    """Return the last hour of all these jobs, and of each. Raises RedisAway."""
    times, found = reporter.series.read()
    nothing = [0] * len(times)
    by_job = {
        job: Hour(times, {one: found.get(reporter.name_of(job, one), nothing) for one in OUTCOMES})
        for job in jobs
    }
    every = {outcome: list(nothing) for outcome in OUTCOMES}
    for hour in by_job.values():
        for outcome, total in every.items():
            for at, number in enumerate(hour.counts[outcome]):
                total[at] += number
    return Hour(times, every), by_job


def shown_state(job: Job, progress: Progress) -> str:
    """Return the state that admins see: as in `Progress`, or full."""
    if progress.state not in ("working", "idle") or job.past_high_water == "accept":
        return progress.state
    too_old = 0 < job.high_water_seconds <= progress.oldest_seconds
    full = progress.left >= job.high_water_items or too_old
    return "full" if full else progress.state


def latency_bars(latencies: dict[str, int]) -> list[tuple[float, int]]:
    """Return how many chunks took at most so many seconds, each bound twice the one before."""
    bars: dict[int, int] = {}
    for number, count in latencies.items():
        at = int(number) // _BUCKETS_OF_A_BAR
        bars[at] = bars.get(at, 0) + count
    if not bars:
        return []
    return [(2.0 ** (at + 1) / 1000, bars.get(at, 0)) for at in range(min(bars), max(bars) + 1)]


def last_runs(job_id: int, most: int = 10) -> list[Run]:
    """Return a job's runs, the latest first."""
    return list(Run.objects.filter(job_id=job_id).order_by("-pk")[:most])


@dataclass(frozen=True, slots=True)
class Waiting:
    """Call-backs that have not arrived: how many, how many were given up, and the last error."""

    count: int
    given_up: int
    last_error: str


def waiting_callbacks(job_id: int) -> Waiting:
    """Return what a job's call-backs wait for; counts end at 10,000."""
    rows = Callback.objects.filter(job_id=job_id, delivered_at=None)
    last = rows.exclude(error="").order_by("-pk").values_list("error", flat=True).first()
    given_up = rows.filter(attempts__gte=MAX_ATTEMPTS).order_by("pk")[:_MOST_COUNTED].count()
    return Waiting(rows.order_by("pk")[:_MOST_COUNTED].count(), given_up, last or "")


@dataclass(frozen=True, slots=True)
class Measured:
    """The time an item took one by one and in bulk, and when that was found out."""

    one_by_one_seconds: float | None
    in_bulk_seconds: float | None
    at: datetime | None
    is_asked_for: bool


def measured(job_id: int) -> Measured:
    """Return what the last calibration found."""
    row = JobState.objects.filter(job_id=job_id).values_list(
        "one_by_one_seconds", "in_bulk_seconds", "calibrated_at", "wants_calibration"
    )
    first = row.first()
    return Measured(*first) if first else Measured(None, None, None, False)


def latencies_of(job_id: int) -> dict[str, int]:
    """Return how long a job's chunks took, as `engine.latency` counts them."""
    found = JobState.objects.filter(job_id=job_id).values_list("latencies", flat=True).first()
    return dict(found or {})

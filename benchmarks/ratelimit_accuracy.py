"""Eight processes on one key: over- and under-admission, and overdraft, against an exact bucket.

The bound of t seconds is C + r*t. The overdraft is the worst debt of an exact bucket, full at the
first call, that spends one token at the time each admitted call was answered. Where the limit is
cut, it is from the moment on at which the first process has decided by the new one; how long after
the save that is, is a row of its own.
"""

import time
from dataclasses import dataclass

from benchmarks.ratelimit_clients import Clients
from benchmarks.table import Row

PROCESSES = 8
PEERS = ("limits fixed window", "throttled-py GCRA", "pyrate-limiter GCRA", "django-ratelimit")
FOLLOW_SECONDS = 0.5  # for all processes to obey a new tier


@dataclass(frozen=True, slots=True)
class Scenario:
    """A bucket, how long it is hammered, and what goes wrong meanwhile."""

    name: str
    capacity: int
    rate: float
    seconds: float
    clocks_off: float = 0.0
    cut: tuple[int, float] | None = None


SCENARIOS = (
    Scenario("large", 100, 100, 4),
    Scenario("tiny", 20, 200, 3),
    Scenario("slow", 3, 1.5, 4),
    Scenario("clocks off by 0.5 s", 100, 100, 3, clocks_off=0.5),
    Scenario("cut while running", 100, 100, 8, cut=(50, 50)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a scenario, in per cent of the bound and in tokens."""

    over_percent: float
    under_percent: float
    overdraft_tokens: float
    delay_seconds: float


def accuracy() -> list[Row]:
    """Return the rows: the limiter plain and with all it keeps locally, then peers."""
    rows = []
    for clocks_off in (0.0, 0.5):
        scenarios = [one for one in SCENARIOS if one.clocks_off == clocks_off]
        job = {"capacity": 1, "rate": 1.0, "clocks_off": clocks_off}
        with Clients("timed", ["tuneup"], PROCESSES, **job) as clients:
            for scenario in scenarios:
                for local in (False, True):
                    title = f"{scenario.name}: tuneup{', leases and deny cache' if local else ''}"
                    told = _hammer(clients, scenario, "tuneup", local=local)
                    rows += _rows(title, told, targets=True)
        first = scenarios[0]
        for peer in PEERS:
            job = {"capacity": first.capacity, "rate": first.rate, "clocks_off": clocks_off}
            with Clients("timed", [peer], PROCESSES, **job) as clients:
                rows += _rows(f"{first.name}: {peer}", _hammer(clients, first, peer))
    return rows


def _rows(title: str, told: Outcome, *, targets: bool = False) -> list[Row]:
    over, under, overdraft = ("0.0 %", "at most 0.2 %", "at most 1.2") if targets else ("", "", "")
    rows = [
        Row(f"{title}, over-admission", told.over_percent, "%", target=over),
        Row(f"{title}, under-admission", told.under_percent, "%", target=under),
        Row(f"{title}, overdraft", told.overdraft_tokens, "tok", target=overdraft),
    ]
    if told.delay_seconds:
        rows.append(Row(f"{title}, first obeyed after", told.delay_seconds * 1000, "ms"))
    return rows


def _hammer(
    clients: Clients, scenario: Scenario, contender: str, *, local: bool = False
) -> Outcome:
    from benchmarks.ratelimit import set_tier

    if contender == "tuneup":
        set_tier(scenario.capacity, scenario.rate, local=local)
        time.sleep(FOLLOW_SECONDS)
    cut_at = saved_at = float("inf")
    clients.start(contender, scenario.seconds, f"{scenario.name} {contender} {local}")
    if scenario.cut is not None:
        time.sleep(scenario.seconds / 2)
        set_tier(*scenario.cut, local=local)
        saved_at = time.monotonic()
    told = clients.results(contender)
    if scenario.cut is not None:
        cut_at = min(one["obeyed_at"] for one in told)
    calls = sorted((one for result in told for one in result["admitted"]), key=lambda one: one[1])
    started_at = min(before for before, _ in calls) / 1e9
    answered = [after / 1e9 - started_at for _, after in calls]
    delay = max(0.0, cut_at - saved_at) if scenario.cut is not None else 0.0
    return _compare(scenario, answered, cut_at - started_at, delay)


def _compare(scenario: Scenario, answered: list[float], cut_after: float, delay: float) -> Outcome:
    """Compare the times of admitted calls with the bound and with an exact bucket."""
    capacity, rate = float(scenario.capacity), scenario.rate
    tokens, at, worst = capacity, 0.0, 0.0
    for now in answered:
        if at < cut_after <= now and scenario.cut is not None:
            tokens = min(capacity, tokens + (cut_after - at) * rate)
            capacity, rate = float(scenario.cut[0]), scenario.cut[1]
            tokens, at = min(tokens, capacity), cut_after
        tokens = min(capacity, tokens + (now - at) * rate) - 1
        at, worst = now, min(worst, tokens)
    end = min(scenario.seconds, cut_after)
    bound = scenario.capacity + scenario.rate * min(max(answered), cut_after)
    least = scenario.capacity + scenario.rate * end
    if scenario.cut is not None:
        bound += scenario.cut[1] * max(0.0, max(answered) - cut_after)
        least += scenario.cut[1] * (scenario.seconds - end)
    admitted = len(answered)
    return Outcome(
        over_percent=max(0.0, 100 * (admitted - bound) / bound),
        under_percent=max(0.0, 100 * (int(least) - admitted) / least),
        overdraft_tokens=-worst,
        delay_seconds=delay,
    )

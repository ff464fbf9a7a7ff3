"""What queries cost, by fingerprint, call site and unit, gathered in one process.

A unit (a request, a task, a command) is added when it has finished, as plain tuples; nothing here
waits for a database or for Redis. `take` swaps what was gathered for an empty one, so it is packed
and sent (`intervals`) with no lock held. What could not be sent is merged back.

Memory is bounded: beyond `most` keys the rest is counted together under OTHER, so that totals stay
true. Where units are sampled, one that is kept stands for `weight` of them: calls, times and hits
are multiplied by it, distinct parameters are those of the units that were kept.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from optimizer.measures.histogram import Histogram
from optimizer.queries.engine.hyperloglog import HyperLogLog

# Fingerprint; call site, `path:line`; seconds; rows; hash_of() the parameters; the table that it
# writes, or "".
Query = tuple[str, str, float, int, int, str]
Place = tuple[str, str]  # fingerprint, call site
# All that a unit asked at a place: durations in seconds; rows; hashes of parameters; table or "".
Asked = tuple[Place, list[float], int, list[int], str]
Key = tuple[str, str, str]  # fingerprint, call site, the unit's name

OTHER: Key = ("", "", "")
OTHER_TABLE = ""
MOST_KEYS = 5000
MOST_TABLES = 1000


@dataclass(slots=True, eq=False)
class Tally:
    """What one key's queries came to."""

    calls: int = 0
    seconds: float = 0.0
    square_seconds: float = 0.0  # the sum of squares, for the standard deviation
    max_seconds: float = 0.0
    rows: int = 0
    repeats: int = 0  # calls whose parameters the same unit had already asked with, at this place
    n_plus_one: int = 0  # calls that were part of an N+1
    histogram: Histogram = field(default_factory=Histogram)
    distinct: HyperLogLog = field(default_factory=HyperLogLog)  # parameters

    def add(
        self,
        durations: list[float],
        rows: int,
        parameters: list[int],
        n_plus_one: int = 0,
        weight: int = 1,
    ) -> None:
        """Count the queries that one unit made: a duration and a parameters' hash for each."""
        self.rows += rows * weight
        if len(durations) == 1:  # most are: the same as below, without its lists
            longest = durations[0]
            self.calls += weight
            self.seconds += longest * weight
            self.square_seconds += longest * longest * weight
            self.histogram.add(longest, weight)
            self.distinct.add(parameters[0])
        else:
            seen = set(parameters)
            self.calls += len(durations) * weight
            self.seconds += sum(durations) * weight
            self.square_seconds += sum([one * one for one in durations]) * weight
            self.repeats += (len(durations) - len(seen)) * weight
            self.histogram.add_all(durations, weight)
            self.distinct.add_all(seen)
            longest = max(durations)
        self.n_plus_one += n_plus_one * weight
        if longest > self.max_seconds:
            self.max_seconds = longest

    def merge(self, other: "Tally") -> None:
        """Add what another tally counted."""
        self.calls += other.calls
        self.seconds += other.seconds
        self.square_seconds += other.square_seconds
        self.max_seconds = max(self.max_seconds, other.max_seconds)
        self.rows += other.rows
        self.repeats += other.repeats
        self.n_plus_one += other.n_plus_one
        self.histogram.merge(other.histogram)
        self.distinct.merge(other.distinct)

    @property
    def mean_seconds(self) -> float:
        """The mean time of a call; 0 where there was none."""
        return self.seconds / self.calls if self.calls else 0.0

    @property
    def deviation_seconds(self) -> float:
        """The standard deviation of a call's time."""
        if not self.calls:
            return 0.0
        variance = self.square_seconds / self.calls - self.mean_seconds**2
        return float(max(0.0, variance) ** 0.5)  # rounding may take it below


@dataclass(slots=True)
class Gathered:
    """What was counted between two moments (time of day, seconds since 1970)."""

    since: float
    until: float
    tallies: dict[Key, Tally] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)  # calls that wrote, by table
    units: int = 0

    def tally(self, key: Key, most: int = MOST_KEYS) -> Tally:
        """Return a key's tally, which is that of OTHER where there are so many others already."""
        found = self.tallies.get(key)
        if found is None:
            if key != OTHER and len(self.tallies) - (OTHER in self.tallies) >= most:
                return self.tally(OTHER, most)
            found = self.tallies[key] = Tally()
        return found

    def wrote(self, table: str, calls: int) -> None:
        """Count calls that wrote to a table."""
        if table not in self.writes and len(self.writes) >= MOST_TABLES:
            table = OTHER_TABLE
        self.writes[table] = self.writes.get(table, 0) + calls

    def merge(self, other: "Gathered", most: int = MOST_KEYS) -> None:
        """Add what was gathered elsewhere or at another time; `other` is left as it is."""
        self.since = min(self.since, other.since)
        self.until = max(self.until, other.until)
        self.units += other.units
        for key, tally in other.tallies.items():
            self.tally(key, most).merge(tally)
        for table, calls in other.writes.items():
            self.wrote(table, calls)


class Statistics:
    """Gathers in one process; any thread may add at any time.

    Raises ValueError for a `most` that is not positive. A process that was forked begins with a new
    one, or it would tell what its parent counted a second time.
    """

    def __init__(self, most: int = MOST_KEYS, *, clock: Callable[[], float] = time.time) -> None:
        if most < 1:
            raise ValueError("there must be room for a key")
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._gathered = self._empty()

    def add(
        self,
        unit: str,
        queries: Iterable[Query],
        n_plus_one: Mapping[Place, int] | None = None,
        weight: int = 1,
    ) -> None:
        """Count a unit that has finished.

        `n_plus_one` has the calls that were part of an N+1, by place; `weight` is how many units
        this one stands for.
        """
        asked: dict[Place, Asked] = {}
        written: dict[str, int] = {}
        for fingerprint, site, seconds, rows, parameters, table in queries:
            place = (fingerprint, site)
            one = asked.get(place)
            if one is None:
                asked[place] = (place, [seconds], rows, [parameters], "")
            else:
                one[1].append(seconds)
                one[3].append(parameters)
                asked[place] = (place, one[1], one[2] + rows, one[3], "")
            if table:
                written[table] = written.get(table, 0) + weight
        self.add_all(unit, asked.values(), n_plus_one, weight)
        with self._lock:
            for table, calls in written.items():
                self._gathered.wrote(table, calls)

    def add_all(
        self,
        unit: str,
        asked: Iterable[Asked],
        n_plus_one: Mapping[Place, int] | None = None,
        weight: int = 1,
    ) -> None:
        """Count a unit whose queries are together by place, as `add` does."""
        hits = n_plus_one or {}
        with self._lock:
            gathered, most = self._gathered, self._most
            gathered.units += weight
            tallies = gathered.tallies
            for place, durations, rows, parameters, table in asked:
                key = (place[0], place[1], unit)
                tally = tallies.get(key) or gathered.tally(key, most)
                tally.add(durations, rows, parameters, hits.get(place, 0) if hits else 0, weight)
                if table:
                    gathered.wrote(table, len(durations) * weight)

    def take(self) -> Gathered:
        """Return all that was gathered, and begin anew."""
        empty = self._empty()
        with self._lock:
            taken, self._gathered = self._gathered, empty
        taken.until = empty.since
        return taken

    def merge(self, gathered: Gathered) -> None:
        """Add what was taken and could not be sent; it counts against the same bound."""
        with self._lock:
            self._gathered.merge(gathered, self._most)

    def __len__(self) -> int:
        """Return how many keys have been met since the last time it was taken."""
        return len(self._gathered.tallies)

    def _empty(self) -> Gathered:
        now = self._clock()
        return Gathered(now, now)

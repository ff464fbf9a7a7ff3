"""Which queries are worth caching, by how much, and why the others are not.

The expected hit ratio comes from the renewal argument of J. Jung, A. W. Berger, H. Balakrishnan,
Modeling TTL-based Internet Caches (INFOCOM 2003): reads of one key arrive as a Poisson process of
rate l, an entry is stored at a miss and lives L on average, so of 1 + l L reads one misses:

    h = l L / (1 + l L)       L = (1 - exp(-w T)) / w, or T where nothing is written

with T the entry's time to live and w the writes a second that invalidate it. The gain a second is
what hits save, less what misses and invalidations cost:

    l d (h (c - r) - (1 - h) s) - w i

for d keys, a query that takes c, a cache that takes r to read, s to store and i to invalidate.
Both err on the safe side. All keys count as equally popular: for a given rate of all, that has the
lowest hit ratio, since x^2 / (1 + x) is convex. And every distinct parameter costs a miss at least
once in the window that was watched, so h is at most 1 - d / n.
"""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a recommendation must reach, and what the cache costs.

    Raises ValueError where a limit can never be met. `longest_ttl_seconds` is the staleness that
    is allowed; of `ttls_seconds` the shortest is proposed whose gain is nearly that of the longest.
    """

    least_calls: int = 100
    least_hit_ratio: float = 0.7
    least_gain_ratio: float = 0.01  # of all the time that the database takes
    read_seconds: float = 0.0003
    store_seconds: float = 0.0004
    invalidation_seconds: float = 0.0004
    longest_ttl_seconds: float = 300.0
    ttls_seconds: tuple[float, ...] = (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)
    near_ratio: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.least_hit_ratio < 1 or not 0 <= self.least_gain_ratio < 1:
            raise ValueError("a ratio lies within 0 and 1")
        if self.longest_ttl_seconds <= 0 or any(ttl <= 0 for ttl in self.ttls_seconds):
            raise ValueError("a time to live must be positive")

    def ttls(self) -> list[float]:
        """Return the times to live to choose from, the longest allowed one last."""
        longest = self.longest_ttl_seconds
        return [*sorted(ttl for ttl in self.ttls_seconds if ttl < longest), longest]


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of one fingerprint, over the window that was watched."""

    fingerprint: str
    calls: int
    distinct: int  # parameters
    seconds: float  # all calls together
    result_bytes: float  # of one call's rows, as the cache would hold them
    writes_per_second: float = 0.0  # on its tables, by anybody
    repeats: int = 0  # calls that asked again what their unit had asked before
    locking: bool = False  # FOR UPDATE, FOR SHARE
    volatile: bool = False  # RANDOM, NOW, CURRENT_TIMESTAMP, a sequence
    after_own_write: bool = False  # seen in a transaction that had written its tables


class Verdict(enum.Enum):
    """What to do about a query."""

    CACHE = "cache"
    MEMOISE = "memoise"  # keep the result as long as the unit lasts
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about a query, in numbers and in words; the numbers are 0 where it is refused."""

    fingerprint: str
    verdict: Verdict
    reason: str
    ttl_seconds: float = 0.0
    hit_ratio: float = 0.0
    gain_ms_per_second: float = 0.0
    cache_bytes: float = 0.0  # when every parameter seen has an entry

    @property
    def gain_per_byte(self) -> float:
        """What it is ranked by (after GreedyDual-Size-Frequency: frequency x cost / size)."""
        return self.gain_ms_per_second / max(1.0, self.cache_bytes)


def life_seconds(ttl_seconds: float, writes_per_second: float) -> float:
    """Return how long an entry lives on average, until it expires or is invalidated."""
    written = writes_per_second * ttl_seconds
    if written < 1e-9:  # the quotient's limit
        return ttl_seconds
    return -math.expm1(-written) / writes_per_second


def hit_ratio(reads_per_second: float, ttl_seconds: float, writes_per_second: float) -> float:
    """Return the share of one key's reads that hit."""
    read = reads_per_second * life_seconds(ttl_seconds, writes_per_second)
    return read / (1 + read)


def advise(
    observed: Iterable[Observed],
    window_seconds: float,
    all_seconds: float,
    limits: Limits | None = None,
) -> list[Advice]:
    """Return advice on each query: what to cache (most gain by byte first), to memoise, to leave.

    `all_seconds` is the time of all queries in the window, those that are not asked about too.
    Raises ValueError for a window that is not positive.
    """
    if window_seconds <= 0:
        raise ValueError("the window must be positive")
    watched = _Window(window_seconds, all_seconds, limits or Limits())
    order = list(Verdict)
    return sorted(
        map(watched.advise, observed),
        key=lambda one: (
            order.index(one.verdict),
            -(one.gain_per_byte if one.verdict is Verdict.CACHE else one.gain_ms_per_second),
            one.fingerprint,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Window:
    seconds: float
    all_seconds: float
    limits: Limits

    @property
    def least_gain(self) -> float:
        """In seconds a second."""
        return self.limits.least_gain_ratio * self.all_seconds / self.seconds

    def advise(self, query: Observed) -> Advice:
        if reason := _unsafe(query):
            return Advice(query.fingerprint, Verdict.LEAVE, reason)
        if query.calls < self.limits.least_calls:
            few = f"only {query.calls} calls; {self.limits.least_calls} are needed to tell"
            return Advice(query.fingerprint, Verdict.LEAVE, few)
        saved = query.repeats * query.seconds / query.calls / self.seconds
        if 2 * query.repeats >= query.calls and saved >= self.least_gain:
            reason = (
                f"{query.repeats} of {query.calls} calls ask again what the same unit has asked "
                f"before: keep the result within the unit, which saves {saved * 1000:.3g} ms/s and "
                "needs no shared cache"
            )
            return Advice(
                query.fingerprint, Verdict.MEMOISE, reason, gain_ms_per_second=saved * 1000
            )
        return self._cache(query)

    def _cache(self, query: Observed) -> Advice:
        """Weigh a shared cache. Repeats within a unit are not its merit: memoising has them too."""
        limits = self.limits
        ttl, hits, gain = self._best(query)
        size = _keys(query) * query.result_bytes
        of_all = gain * self.seconds / self.all_seconds if self.all_seconds > 0 else 0.0
        facts = (
            f"{query.calls - query.repeats} calls with {_keys(query)} distinct parameters, "
            f"{query.seconds / query.calls * 1000:.3g} ms each, "
            f"{query.writes_per_second:.3g} writes/s"
        )
        if hits < limits.least_hit_ratio:
            verdict, reason = Verdict.LEAVE, f"{hits:.0%} of reads would hit: {facts}"
        elif gain <= 0:
            verdict, reason = Verdict.LEAVE, f"the cache costs what it saves: {facts}"
        elif gain < self.least_gain:
            verdict, reason = Verdict.LEAVE, f"it would save {of_all:.2%} of all time: {facts}"
        else:
            verdict = Verdict.CACHE
            reason = f"for {ttl:g} s: {hits:.0%} hit, {of_all:.1%} of all time saved: {facts}"
        return Advice(query.fingerprint, verdict, reason, ttl, hits, gain * 1000, size)

    def _best(self, query: Observed) -> tuple[float, float, float]:
        """Return the time to live to propose, its hit ratio, and its gain in seconds a second.

        Hits grow with the time to live, so the longest allowed one gains most; beyond some point
        it gains little more, and a shorter one is less stale and holds less memory.
        """
        tried = [(ttl, *self._expected(query, ttl)) for ttl in self.limits.ttls()]
        _, _, most = tried[-1]
        for ttl, hits, gain in tried:
            if hits >= self.limits.least_hit_ratio and gain >= self.limits.near_ratio * most > 0:
                return ttl, hits, gain
        return tried[-1]

    def _expected(self, query: Observed, ttl_seconds: float) -> tuple[float, float]:
        """Return the hit ratio and the gain in seconds a second."""
        limits, calls, keys = self.limits, query.calls - query.repeats, _keys(query)
        per_key = calls / keys / self.seconds
        hits = hit_ratio(per_key, ttl_seconds, query.writes_per_second)
        hits = min(hits, 1 - keys / max(1, calls))
        saved = hits * (query.seconds / query.calls - limits.read_seconds)
        spent = (1 - hits) * limits.store_seconds
        invalidations = query.writes_per_second * limits.invalidation_seconds
        return hits, calls / self.seconds * (saved - spent) - invalidations


def _keys(query: Observed) -> int:
    """Return how many distinct parameters there were: an estimate may exceed the calls."""
    return max(1, min(query.distinct, query.calls - query.repeats))


def _unsafe(query: Observed) -> str:
    if query.locking:
        return "it locks rows: a cached answer would hold no lock"
    if query.volatile:
        return "its answer changes by itself (RANDOM, NOW and the like)"
    if query.after_own_write:
        return "it reads what its own transaction has written, which others must not see yet"
    return ""

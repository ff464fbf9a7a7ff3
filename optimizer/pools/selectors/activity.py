"""What a pool did in the last hour."""

from dataclasses import dataclass

from optimizer.pools.services import reporter

_NAMES = ("in_use", "idle", "waiting", *reporter.COUNTED)


@dataclass(frozen=True, slots=True)
class Hour:
    """Sums of slots of ten seconds that follow one another, by what was counted."""

    times: list[int]
    counts: dict[str, list[int]]


def last_hour(alias: str) -> Hour:
    """Return the last hour of a pool over all processes. Raises RedisAway."""
    times, found = reporter.series.read()
    nothing = [0] * len(times)
    return Hour(times, {name: found.get(f"{alias}:{name}", nothing) for name in _NAMES})

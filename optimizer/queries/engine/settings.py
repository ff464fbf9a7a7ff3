"""The query optimizer's settings, as code that runs takes them."""

import re
from fnmatch import translate

import msgspec


class Ignore(msgspec.Struct, frozen=True):
    """A pattern of the ignore list; `what` is location, fingerprint or unit."""

    what: str
    pattern: str


class Settings(msgspec.Struct, frozen=True):
    """What is watched, how much of it, and what counts as a finding."""

    enabled: bool = True
    mode: str = "sampled"
    sample_percent: float = 100.0
    overhead_percent: float = 2.0
    admins_only: bool = False
    n_plus_one_threshold: int = 3
    slow_query_seconds: float = 0.5
    flush_seconds: float = 5.0
    keep_days: int = 7
    cache_least_hit_percent: float = 70.0
    cache_longest_ttl_seconds: float = 300.0
    index_advice: bool = True
    index_least_seconds: float = 1.0
    ignores: tuple[Ignore, ...] = ()

    @property
    def watches(self) -> bool:
        """Whether anything is watched at all."""
        return self.enabled and self.mode != "off"


class Ignores:
    """Says which pattern of the list, if any, a finding fits."""

    def __init__(self, given: tuple[Ignore, ...]) -> None:
        self._patterns = [(one, re.compile(translate(one.pattern))) for one in given]

    def match(self, location: str, fingerprint: str, unit: str) -> str | None:
        """Return the first pattern that fits, None where none does."""
        values = {"location": location, "fingerprint": fingerprint, "unit": unit}
        for one, pattern in self._patterns:
            if pattern.match(values[one.what]):
                return one.pattern
        return None

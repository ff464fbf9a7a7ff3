"""Namespaces: what governs the keys that begin with a prefix, and what is counted of them."""

import re
import threading
from itertools import count

import msgspec

DEFAULT = "default"


class Namespace(msgspec.Struct, frozen=True):
    """The settings of a namespace. Seconds are seconds, 0 switches a feature off."""

    name: str = DEFAULT
    prefix: str = ""
    ttl_seconds: float = 300.0
    jitter_percent: float = 0.0
    l1: bool = True
    l1_share_percent: float = 0.0
    l1_seconds: float = 60.0
    l2: bool = True
    codec: str = "pickle"
    compress_over_bytes: int = 8192
    negative_seconds: float = 5.0
    early_refresh: float = 1.0
    stale_seconds: float = 0.0
    stale_if_error_seconds: float = 0.0
    retry_seconds: float = 5.0
    soft_timeout_seconds: float = 0.0
    load_seconds: float = 30.0

    @property
    def ttl(self) -> float | None:
        """Seconds to live where a call does not say, None for ever."""
        return self.ttl_seconds or None

    @property
    def kept_stale_seconds(self) -> float:
        """How long a value is kept past its TTL."""
        return max(self.stale_seconds, self.stale_if_error_seconds)


class Tally:
    """A count that many threads raise without a lock: next() is one step of the interpreter."""

    __slots__ = ("_count", "add_one")

    def __init__(self) -> None:
        self._count = count(1)
        self.add_one = self._count.__next__

    def __int__(self) -> int:
        return int(repr(self._count)[6:-1]) - 1


COUNTS = (
    "l1_hits", "l2_hits", "misses", "writes", "deletes", "loads", "failed_loads", "stale",
    "refused", "unreadable", "invalidations", "too_large", "early",
)  # fmt: skip


class Space:
    """A namespace in this process: its settings of the moment, its generation, its counts."""

    def __init__(self, settings: Namespace) -> None:
        self.settings = settings
        self.name = settings.name
        self.generation = b"0"
        self.counts = {name: Tally() for name in COUNTS}
        self.hit = self.counts["l1_hits"].add_one  # the hot path
        self.load_seconds = 0.0  # of all loads
        self._lock = threading.Lock()

    def count(self, name: str) -> None:
        """Raise one of `COUNTS`."""
        self.counts[name].add_one()

    def loaded(self, took_seconds: float) -> None:
        """Count a load and its time."""
        self.counts["loads"].add_one()
        with self._lock:
            self.load_seconds += took_seconds


class Spaces:
    """All namespaces of a process; the one with the longest fitting prefix governs a key."""

    def __init__(self) -> None:
        self.by_name = {DEFAULT: Space(Namespace())}
        self.default = self.by_name[DEFAULT]
        self._find = re.compile("").match
        self._by_prefix: dict[str, Space] = {"": self.default}

    def configure(self, namespaces: tuple[Namespace, ...]) -> bool:
        """Take new settings; return whether keys may belong elsewhere now."""
        before = {one.settings.prefix: one.name for one in self.by_name.values()}
        spaces: dict[str, Space] = {}
        for settings in namespaces:
            space = self.by_name.get(settings.name) or Space(settings)
            space.settings = settings
            spaces[settings.name] = space
        if DEFAULT not in spaces:
            self.default.settings = Namespace()
            spaces[DEFAULT] = self.default
        prefixes = sorted((one.settings.prefix for one in spaces.values()), key=len, reverse=True)
        self._by_prefix = {one.settings.prefix: one for one in spaces.values()}
        self._find = re.compile("|".join(re.escape(one) for one in prefixes)).match
        self.by_name = spaces
        return before != {one.settings.prefix: one.name for one in spaces.values()}

    def of(self, key: str) -> Space:
        """Return the namespace of a key, as its caller named it."""
        if len(self._by_prefix) == 1:
            return self.default
        found = self._find(key)
        return self._by_prefix[found[0]] if found else self.default

    @property
    def mapping(self) -> dict[str, str]:
        """Which namespace has which prefix."""
        return {name: one.settings.prefix for name, one in self.by_name.items()}

    def within(self, literal: str) -> list[Space]:
        """Return the namespaces that keys beginning with `literal` can belong to."""
        return [
            one
            for one in self.by_name.values()
            if one.settings.prefix.startswith(literal) or self._may_hold(one, literal)
        ]

    def _may_hold(self, space: Space, literal: str) -> bool:
        return literal.startswith(space.settings.prefix)

"""What changed while Redis was away: it is invalidated before Redis is read again.

The last state of a key is in nobody's cache then, so its name alone is kept; past a bound, its
whole namespace is.
"""

import threading
from collections.abc import Callable, Iterable

from caching.engine.patterns import Pattern

MAX_NAMES = 10_000
MAX_OTHERS = 100
_KINDS = ("names", "patterns", "tags", "spaces", "mappings")


class Pending:
    """Invalidations that wait for Redis, each once."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a fork."""
        self._lock = threading.Lock()
        self._replaying = threading.Lock()
        self.names: dict[tuple[str, str], None] = {}
        self.patterns: dict[tuple[str, str, str], Pattern] = {}
        self.tags: dict[str, None] = {}
        self.spaces: dict[str, None] = {}
        self.mappings: dict[str, None] = {}  # one entry where Redis is to be told the mapping
        self.waiting = False

    def __len__(self) -> int:
        return sum(len(getattr(self, kind)) for kind in _KINDS)

    def add_name(self, space: str, name: str) -> None:
        """Keep a changed key."""
        with self._lock:
            if space not in self.spaces:
                self.names[space, name] = None
                if len(self.names) > MAX_NAMES:
                    self._collapse(space)
            self.waiting = True

    def add_pattern(self, space: str, head: str, pattern: Pattern) -> None:
        """Keep an invalidated pattern."""
        with self._lock:
            self.patterns[space, head, pattern.text] = pattern
            if len(self.patterns) > MAX_OTHERS:
                self.spaces[space] = None
                self.patterns = {k: v for k, v in self.patterns.items() if k[0] != space}
            self.waiting = True

    def add_tag(self, tag: str, spaces: Iterable[str]) -> None:
        """Keep an invalidated tag; past a bound, all that it may be in."""
        with self._lock:
            self.tags[tag] = None
            if len(self.tags) > MAX_NAMES:
                self.tags = {}
                self.spaces.update(dict.fromkeys(spaces))
            self.waiting = True

    def add_space(self, space: str) -> None:
        """Keep an invalidated namespace."""
        with self._lock:
            self._collapse(space)
            self.waiting = True

    def add_mapping(self) -> None:
        """Keep that Redis is to be told which namespace has which prefix."""
        with self._lock:
            self.mappings[""] = None
            self.waiting = True

    def _collapse(self, space: str) -> None:
        self.spaces[space] = None
        self.names = {pair: None for pair in self.names if pair[0] != space}

    def replay(self, send: Callable[["Pending"], None]) -> bool:
        """Send what is kept; False while another thread does. What `send` raises keeps it all."""
        if not self._replaying.acquire(blocking=False):
            return False
        taken = Pending()
        try:
            with self._lock:
                for kind in _KINDS:
                    setattr(taken, kind, getattr(self, kind))
                    setattr(self, kind, {})
            try:
                send(taken)
            except BaseException:
                with self._lock:
                    for kind in _KINDS:
                        setattr(self, kind, getattr(taken, kind) | getattr(self, kind))
                raise
            with self._lock:
                self.waiting = bool(len(self))
        finally:
            self._replaying.release()
        return True

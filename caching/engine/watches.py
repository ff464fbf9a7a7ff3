"""Who is fetching or loading a key: news that arrives meanwhile voids what comes of it.

Without this, a reader that took the old value before an invalidation would put it into the first
tier after it.
"""

import threading
from collections.abc import Callable, Collection, Iterable
from time import monotonic


def mark_of(tag: str) -> str:
    """Return what stands for a tag among the names of a watch."""
    return f"\0{tag}"


class Watch:
    """One fetch, load or write; `began` is in monotonic seconds.

    `voided` is the highest news' number that touched one of its names, 0 for none.
    """

    __slots__ = ("began", "names", "voided")

    def __init__(self, names: Collection[str]) -> None:
        self.names, self.voided = names, 0
        self.began = monotonic()


class Watches:
    """All that goes on now, by key."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a fork."""
        self._lock = threading.Lock()
        self._open: set[Watch] = set()

    def open(self, *names: str) -> Watch:
        """Begin to watch names; before anything is asked of them."""
        return self.open_many(names)

    def open_many(self, names: Collection[str]) -> Watch:
        """Begin to watch many names, of which any one's news voids the whole."""
        watch = Watch(names)
        with self._lock:
            self._open.add(watch)
        return watch

    def close(self, watch: Watch) -> None:
        """Stop watching."""
        with self._lock:
            self._open.discard(watch)

    def void(self, names: Iterable[str], seq: int) -> None:
        """Note that these names have changed."""
        if not self._open:
            return
        changed = set(names)
        with self._lock:
            for watch in self._open:
                if seq > watch.voided and not changed.isdisjoint(watch.names):
                    watch.voided = seq

    def void_where(self, condition: Callable[[str], bool], seq: int) -> None:
        """Note that the names of which the condition is true have changed."""
        with self._lock:
            for watch in self._open:
                if seq > watch.voided and any(condition(name) for name in watch.names):
                    watch.voided = seq

    def void_all(self, seq: int) -> None:
        """Note that anything may have changed."""
        with self._lock:
            for watch in self._open:
                watch.voided = max(watch.voided, seq)

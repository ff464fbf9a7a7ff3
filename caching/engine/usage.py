"""What is asked of a cache, sampled: the miss-ratio curve and the hot keys."""

from collections.abc import Iterable

from caching.engine.curve import Curve
from caching.engine.entry import Entry
from caching.engine.hot_keys import HotKeys

HOT_MASK = 63  # one of 64 hits of a namespace is looked at for the hot keys
# A copy that was used so short a time ago would have hit with any budget; the curve's correction
# for the requests that it was not told of counts it so.
RECENT_SECONDS = 0.001
_AGE_SECONDS = 600.0
ONE_IN = 8  # keys is sampled at most


class Usage:
    """The samples of one process. The hot path asks `curve.threshold` before it calls `note`."""

    def __init__(self) -> None:
        self.curve = Curve(one_in=ONE_IN)
        self.hot_keys = HotKeys()
        self._since_aged = 0.0
        self._told = 0

    def forget(self) -> None:
        """Begin anew, as after a fork, where a lock may be held for ever."""
        self.curve.begin_anew()
        self.hot_keys = HotKeys()
        self._since_aged, self._told = 0.0, 0

    def resize(self, sample_keys: int) -> None:
        """Sample so many keys from now on; 0 samples none."""
        self.curve.resize(sample_keys)

    def used(self, entry: Entry, now: float) -> None:
        """Note a hit of a copy that was not used just before, where its key is sampled."""
        if now - entry.used > RECENT_SECONDS and hash(entry.key) < self.curve.threshold:
            self.curve.note(entry.key, entry.size_bytes, now)

    def missed(self, name: str) -> None:
        """Note a read that no copy answered."""
        if hash(name) < self.curve.threshold:
            self.curve.note(name)

    def kept(self, entries: Iterable[Entry]) -> None:
        """Note copies that are held from now on."""
        threshold = self.curve.threshold
        for entry in entries:
            if hash(entry.key) < threshold:
                self.curve.stored(entry.key, entry.size_bytes, entry.expires)

    def dropped(self, names: Iterable[str]) -> None:
        """Note keys whose copies went by news: no budget would have kept them."""
        threshold = self.curve.threshold
        for name in names:
            if hash(name) < threshold:
                self.curve.forget(name)

    def tick(self, reads: int, seconds: float) -> None:
        """Tell how many reads there have been so far, and how many seconds have passed."""
        self.curve.count_requests(max(0, reads - self._told))
        self._told = reads
        self._since_aged += seconds
        if self._since_aged >= _AGE_SECONDS:
            self._since_aged = 0.0
            self.curve.age()
            self.hot_keys.decay()

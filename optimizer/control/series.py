"""Counts by time, summed over all processes, for the charts of the last hour.

One Redis hash a minute holds the counts of its six slots of ten seconds; it expires by itself.
While Redis is away a process keeps what it counted, up to a bound, and adds it later.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import redis

from optimizer.control.redis import RedisAway, call

SLOT_SECONDS = 10
KEPT_SECONDS = 3600
_EXPIRY_SECONDS = KEPT_SECONDS + 120
_MOST_KEPT = 5000


class Series:
    """Named counts of one kind. Names must be few: tiers and outcomes, never subjects."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self._prefix, self._clock = f"tuneup:{{series}}:{name}:", clock
        self._unsent: Counter[tuple[int, str]] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        """Count now; `send` writes it."""
        slot = int(self._clock()) // SLOT_SECONDS
        for name, count in counts.items():
            if (slot, name) in self._unsent or len(self._unsent) < _MOST_KEPT:
                self._unsent[slot, name] += count

    @property
    def has_unsent(self) -> bool:
        """Whether something was counted that is not written yet."""
        return bool(self._unsent)

    def send(self) -> None:
        """Write what was counted, in one trip. Raises RedisAway, and keeps the counts then."""
        if not self._unsent:
            return
        # Each count leaves before it is sent: a second thread must not send it again.
        sending, self._unsent = self._unsent, Counter()

        def write(r: redis.Redis) -> None:
            pipe = r.pipeline(transaction=False)
            keys = set()
            for (slot, name), count in sending.items():
                key = self._key(slot * SLOT_SECONDS // 60)
                keys.add(key)
                pipe.hincrby(key, f"{slot}|{name}", count)
            for key in keys:
                pipe.expire(key, _EXPIRY_SECONDS)
            pipe.execute()

        try:
            call(write)
        except RedisAway:
            self._unsent.update(sending)
            raise

    def read(self, seconds: int = KEPT_SECONDS) -> tuple[list[int], dict[str, list[int]]]:
        """Return the starts of the slots (seconds since the epoch) and each name's counts in them.

        The last slot is the one before the present, which is not over. Raises RedisAway.
        """
        last = int(self._clock()) // SLOT_SECONDS - 1
        first = last - seconds // SLOT_SECONDS + 1
        minutes = range(first * SLOT_SECONDS // 60, last * SLOT_SECONDS // 60 + 1)

        def fetch(r: redis.Redis) -> list[Any]:
            pipe = r.pipeline(transaction=False)
            for minute in minutes:
                pipe.hgetall(self._key(minute))
            return pipe.execute()

        slots = list(range(first, last + 1))
        counts: dict[str, list[int]] = {}
        for row in call(fetch):
            for field, count in row.items():
                slot, _, name = field.decode().partition("|")
                if first <= int(slot) <= last:
                    counts.setdefault(name, [0] * len(slots))[int(slot) - first] += int(count)
        return [slot * SLOT_SECONDS for slot in slots], counts

    def totals(self, seconds: int = 60) -> Counter[str]:
        """Return each name's count in so many seconds, up to about 10 s ago. Raises RedisAway.

        The newest slot is left out: processes tell once a second, so some may not have told all.
        """
        _, counts = self.read(seconds + SLOT_SECONDS)
        return Counter({name: sum(values[:-1]) for name, values in counts.items()})

    def _key(self, minute: int) -> str:
        return f"{self._prefix}{minute}"

"""A copy in the first tier."""

import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from caching.engine.values import Thaw, is_immutable


class Entry:
    """What the first tier holds of one key. Times are the process's monotonic seconds.

    `expires` ends its life as a value, `stale_until` as a stale one; `used`, `hits`, `queued` are
    the policy's, `size_bytes` is the store's; `stamp` is the news' number of the write it comes
    from, 0 for a read, ALONE for what this process holds while it hears no news. `hit` counts for
    its namespace.
    """

    __slots__ = (
        "expires", "hit", "hits", "key", "load_seconds", "namespace", "queued", "size_bytes",
        "stale_until", "stamp", "used", "value",
    )  # fmt: skip
    thaw: ClassVar[Any] = None  # a Thaw, or None where the value is held as it is

    def __init__(
        self,
        key: str,
        value: Any,
        namespace: Any,
        now: float,
        expires: float,
        stale_until: float = 0.0,
        load_seconds: float = 0.0,
        stamp: int = 0,
    ) -> None:
        self.key, self.value, self.namespace = key, value, namespace
        self.expires, self.stale_until, self.load_seconds = expires, stale_until, load_seconds
        self.used, self.queued, self.hits, self.stamp = now, 0, 0, stamp
        self.size_bytes = 0
        self.hit: Callable[[], int] = namespace.hit

    def thawed(self) -> "Thawed | None":
        """Return the entry as one that is copied, None where that would not isolate its callers."""
        value = self.get()
        if value.__class__ is not dict or not all(is_immutable(one) for one in value.values()):
            return None
        ready = Thawed(
            self.key,
            value,
            self.namespace,
            self.used,
            self.expires,
            self.stale_until,
            self.load_seconds,
            self.stamp,
        )
        ready.hits = self.hits
        return ready

    def get(self) -> Any:
        """Return the value: nobody else has this object, or nobody can change it."""
        thaw = self.thaw
        return self.value if thaw is None else thaw(self.value)


class Packed(Entry):
    """Plain data that could be changed."""

    __slots__ = ()
    thaw = staticmethod(msgspec.msgpack.decode)


class Thawed(Entry):
    """A flat dictionary that is asked for so often that it is held ready to be copied."""

    __slots__ = ()
    thaw = staticmethod(dict.copy)


class Pickled(Entry):
    """Any other object."""

    __slots__ = ()
    thaw = staticmethod(pickle.loads)


ALONE = -1
KINDS: dict[Thaw | None, type[Entry]] = {
    None: Entry,
    msgspec.msgpack.decode: Packed,
    pickle.loads: Pickled,
}

"""Values as the second tier holds them, and back."""

import random
from collections.abc import Callable, Sequence

from caching.engine.copies import FOREVER, Found
from caching.engine.envelope import CODECS, HEADER_BYTES, Sealer
from caching.engine.namespace import Space
from caching.engine.remote import Item


class Packing:
    """Encodes and seals for one cache. `wall` is the time of day in seconds."""

    def __init__(
        self,
        sealer: Sealer,
        wall: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.sealer, self._wall, self._jitter = sealer, wall, jitter

    def pack(
        self,
        space: Space,
        name: str,
        value: object,
        ttl: float | None,
        tags: Sequence[str] = (),
        load_seconds: float = 0.0,
        *,
        jitter: bool = True,
    ) -> tuple[Item, Found]:
        """Encode and seal a value; jitter only ever shortens its life.

        Raises what the namespace's codec raises for a value it does not know.
        """
        settings, now = space.settings, self._wall()
        codec = CODECS[settings.codec]
        payload = codec.dump(value)
        if not codec.exact:
            value = codec.load(payload)  # what every later reader gets
        expires = stale_until = 0.0
        ttl_ms = 0
        if ttl is not None:
            if jitter:
                ttl *= 1 - settings.jitter_percent / 100 * self._jitter()
            expires, stale_until = now + ttl, now + ttl + settings.kept_stale_seconds
            ttl_ms = max(1, round((stale_until - now) * 1000))
        data = self.sealer.seal(
            _bound(space, name),
            payload,
            settings.codec,
            expires=expires,
            stale_until=stale_until,
            written=now,
            load_seconds=load_seconds,
            compress_over_bytes=settings.compress_over_bytes,
        )
        header = data[:HEADER_BYTES]
        found = Found(value, expires or FOREVER, stale_until or FOREVER, load_seconds, header)
        return Item(space.name, name, ttl_ms, data, tags=tags), found

    def unpack(self, space: Space, name: str, data: bytes) -> Found:
        """Open what the second tier holds under this name. Raises Unreadable."""
        value, expires, stale_until, load_seconds = self.sealer.open(_bound(space, name), data)
        header = data[:HEADER_BYTES]
        return Found(value, expires or FOREVER, stale_until or FOREVER, load_seconds, header)


def _bound(space: Space, name: str) -> bytes:
    # With the length no end of a name can be taken for the beginning of an envelope.
    return f"{space.name}\0{len(name)}\0{name}".encode()

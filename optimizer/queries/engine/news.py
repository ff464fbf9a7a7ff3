"""What a process tells beside its statistics: findings, new statements, matched patterns.

It travels with the interval (`intervals`) in one entry of the stream, so both count once.
"""

import zlib
from hashlib import blake2b

import msgspec

from optimizer.queries.engine.intervals import Unreadable

VERSION = 1
MOST_BYTES = 32 * 1024**2  # unpacked
MOST_UNITS = 10  # names that a finding keeps
MOST_SQL_LENGTH = 20_000


class FindingNews(msgspec.Struct, array_like=True):
    """A finding, and how often it came in the interval."""

    kind: str
    fingerprint: str
    location: str
    suggestion: str
    queryset_location: str
    sql: str
    stack: list[str]
    model_state: str
    units: list[str] = []
    count: int = 0
    hits: int = 0
    queries: int = 0
    lost_seconds: float = 0.0

    @property
    def digest(self) -> str:
        """What it is known by."""
        return digest_of(self.kind, self.fingerprint, self.location)

    def add(self, unit: str, count: int, lost_seconds: float, weight: int) -> None:
        """Count a unit that it was in."""
        if unit not in self.units:
            self.units = [unit, *self.units][:MOST_UNITS]
        self.count = max(self.count, count)
        self.hits += weight
        self.queries += count * weight
        self.lost_seconds += lost_seconds * weight

    def merge(self, other: "FindingNews") -> None:
        """Add what another process counted of the same finding."""
        self.units = list(dict.fromkeys([*other.units, *self.units]))[:MOST_UNITS]
        self.count = max(self.count, other.count)
        self.hits += other.hits
        self.queries += other.queries
        self.lost_seconds += other.lost_seconds


class StatementNews(msgspec.Struct, array_like=True):
    """What a fingerprint stands for."""

    fingerprint: str
    text: str
    sql: str
    alias: str
    verb: str
    tables: list[str]
    locking: bool
    volatile: bool
    after_own_write: bool


class News(msgspec.Struct, array_like=True):
    """All that is told beside the statistics.

    `used` are the digests of findings of useless loads that turned out to be used.
    """

    version: int = VERSION
    findings: list[FindingNews] = []
    statements: list[StatementNews] = []
    ignored: dict[str, int] = {}
    used: list[str] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(News).decode


def digest_of(*parts: str) -> str:
    """Return a digest of some texts, as a key of limited length."""
    return blake2b("\0".join(parts).encode(errors="replace"), digest_size=16).hexdigest()


def pack(news: News) -> bytes:
    """Return the news as compressed MessagePack."""
    return zlib.compress(_encode(news), 1)


def unpack(data: bytes) -> News:
    """Return what was packed. Raises Unreadable for other bytes, or more than is ever packed."""
    try:
        machine = zlib.decompressobj()
        news = _decode(machine.decompress(data, MOST_BYTES))
        if not machine.eof or news.version != VERSION:
            raise ValueError("cut short, too large, or of another version")
    except (ValueError, zlib.error) as error:
        raise Unreadable(str(error)) from error
    return news

"""What a process gathered in an interval, as one blob of bytes, and back.

How it travels: each process appends its blob to a Redis stream, and one task merges what is new
into the database.

    process, each interval   XADD intervals MAXLEN ~ 20000 * blob <bytes>
    task, each minute        last = the id in the database; XRANGE intervals (last + COUNT 500;
                             in one transaction: upsert the merged tallies, store the new last id;
                             after it: XTRIM intervals MINID last

Nothing is read, changed and written back in Redis, so there is no race between processes. A blob
counts once, even when the task dies anywhere in between, because its id is committed with its
counts; what a killed process loses is what it had not yet appended: one interval. While Redis is
away, `Statistics.merge` takes the interval back. (Flat hashes with HINCRBY and PFADD would need a
command for each field of each key, and a reader that empties them at the right moment.)
"""

import math
import zlib

import msgspec

from optimizer.measures.histogram import Histogram
from optimizer.queries.engine.hyperloglog import HyperLogLog
from optimizer.queries.engine.statistics import Gathered, Tally

VERSION = 1
MOST_BYTES = 32 * 1024**2  # unpacked: 5,000 keys with full sketches and histograms take 13 MB
_MOST_ROWS = 100_000
_LEVEL = 1  # of zlib: the registers shrink by a third at any


class Unreadable(ValueError):
    """The bytes are not an interval, or one of another version."""


class _Row(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    fingerprint: str
    site: str
    unit: str
    calls: int
    seconds: float
    square_seconds: float
    max_seconds: float
    rows: int
    repeats: int
    n_plus_one: int
    histogram: bytes
    distinct: bytes


class _Interval(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    since: float
    until: float
    units: int
    writes: dict[str, int]
    rows: list[_Row]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Interval).decode


def pack(gathered: Gathered) -> bytes:
    """Return what was gathered, as compressed MessagePack."""
    rows = [
        _Row(
            *key,
            tally.calls,
            tally.seconds,
            tally.square_seconds,
            tally.max_seconds,
            tally.rows,
            tally.repeats,
            tally.n_plus_one,
            tally.histogram.to_bytes(),
            tally.distinct.to_bytes(),
        )
        for key, tally in gathered.tallies.items()
    ]
    interval = _Interval(
        VERSION, gathered.since, gathered.until, gathered.units, gathered.writes, rows
    )
    return zlib.compress(_encode(interval), _LEVEL)


def unpack(data: bytes) -> Gathered:
    """Return what was packed. Raises Unreadable for other bytes, or more than is ever packed."""
    try:
        machine = zlib.decompressobj()
        interval = _decode(machine.decompress(data, MOST_BYTES))
        if not machine.eof or interval.version != VERSION:
            raise ValueError("cut short, too large, or of another version")
        if len(interval.rows) > _MOST_ROWS:
            raise ValueError("more keys than are ever gathered")
        if not math.isfinite(interval.since + interval.until):
            raise ValueError("it has no time")
        gathered = Gathered(interval.since, interval.until, units=interval.units)
        gathered.writes.update(interval.writes)
        for row in interval.rows:
            gathered.tallies[row.fingerprint, row.site, row.unit] = _tally(row)
    except (ValueError, zlib.error) as error:  # msgspec's errors are among the former
        raise Unreadable(str(error)) from error
    return gathered


def _tally(row: _Row) -> Tally:
    times = (row.seconds, row.square_seconds, row.max_seconds)
    if not all(0 <= one < math.inf for one in times):
        raise ValueError("a time is out of range")
    return Tally(
        row.calls,
        *times,
        row.rows,
        row.repeats,
        row.n_plus_one,
        Histogram.from_bytes(row.histogram),
        HyperLogLog.from_bytes(row.distinct),
    )

"""What a change of a tier would have done to the calls of the last hour."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from optimizer.control.redis import call
from ratelimit.engine import Limit
from ratelimit.engine.what_if import Offered, Replay, replay
from ratelimit.live import ratelimit
from ratelimit.services.reporter import TOP_SECONDS, Row, record_key, subject_hash, top_key

MINUTES = 60
MOST_ROWS = 100_000
_decode = msgspec.msgpack.Decoder(Row).decode


@dataclass(frozen=True, slots=True)
class Affected:
    """A subject whose calls a change would refuse; a hash where its name is not known."""

    subject: str
    refused_before: int
    refused_after: int


@dataclass(frozen=True, slots=True)
class Preview:
    """The recorded calls under the numbers of now and under others.

    `sampled_ratio` is the share of subjects that were recorded.
    """

    calls: int
    sampled_ratio: float
    before: Replay
    after: Replay
    most_affected: tuple[Affected, ...]

    @property
    def sampled_percent(self) -> float:
        return 100 * self.sampled_ratio


def preview(tier: str, changed: Limit) -> Preview:
    """Replay the last hour's calls of a tier under other numbers. Raises RedisAway."""
    record, names = call(_read)
    rows = [row for row in record if row.tier == tier]
    level = max((row.level for row in rows), default=0)
    # Those recorded while more subjects were would weigh more than the others.
    rows = [row for row in rows if int(row.subject, 16) % (1 << level) == 0]
    offered = [
        Offered(row.second, f"{row.subject} {row.scope}", row.cost, row.count) for row in rows
    ]
    now = ratelimit.current().tiers.get(tier)
    after = replay(offered, changed)
    before = replay(offered, now.limit) if now is not None else after
    hashed = {subject_hash(name): name for name in {*names, *ratelimit.current().subjects}}
    most = tuple(
        Affected(
            hashed.get(subject.split()[0], f"#{subject[:8]}"),
            before.refused_by_subject.get(subject, 0),
            refused,
        )
        for subject, refused in list(after.refused_by_subject.items())[:5]
    )
    return Preview(after.calls, 1 / (1 << level), before, after, most)


def _read(r: redis.Redis) -> tuple[list[Row], set[str]]:
    """Return the record of the last hour, and the names of the largest consumers in it."""
    now = time.time()
    minute = int(now) // 60
    pipe = r.pipeline(transaction=False)
    for back in range(MINUTES):
        pipe.lrange(record_key(minute - back), 0, -1)
    for back in range(3600 // TOP_SECONDS):
        pipe.zrange(top_key(now - back * TOP_SECONDS), 0, -1)
    replies: list[list[Any]] = pipe.execute()
    rows: list[Row] = []
    for packed in replies[:MINUTES]:
        rows += [_decode(one) for one in packed[: MOST_ROWS - len(rows)]]
    names = {name.decode(errors="replace") for window in replies[MINUTES:] for name in window}
    return rows, names

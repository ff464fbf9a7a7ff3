"""What the API of pools takes and answers."""

from typing import Any, Literal

from ninja import Field, Schema

from optimizer.pools.engine.advice import Advice
from optimizer.pools.models.pool import MOST_SUSPENDED_SECONDS
from optimizer.pools.selectors import Pool

Kind = Literal["postgresql", "sqlite", "redis", "mongodb", "http"]


class LimitsOut(Schema):
    """What holds in each process; `suspended_until` is in seconds since the epoch, 0 for never."""

    min_size: int
    max_size: int
    acquire_timeout_seconds: float
    idle_timeout_seconds: float
    max_lifetime_seconds: float
    lifetime_jitter_percent: int
    check_after_idle_seconds: float
    leak_threshold_seconds: float
    generation: int
    suspended_until: float


class GaugesOut(Schema):
    """How it stands now."""

    size: int
    idle: int
    in_use: int
    waiting: int


class CountsOut(Schema):
    """What happened; percentiles are of about the last minute."""

    acquired: int
    queued: int
    timeouts: int
    created: int
    closed: int
    errors: int
    lost: int
    leaked: int
    reuse_ratio: float
    saved_seconds: float
    wait_p50_seconds: float
    wait_p99_seconds: float
    use_p50_seconds: float
    use_p99_seconds: float
    connect_p50_seconds: float


class ServerOut(Schema):
    """What its server takes; None fields of it are not known."""

    limit: int
    reserved: int
    used: int


class PoolOut(Schema):
    """A pool, summed over the living processes."""

    alias: str
    kind: Kind
    processes: int
    limits: LimitsOut
    gauges: GaugesOut
    counts: CountsOut
    most: int = Field(description="Connections that all processes together may open.")

    @classmethod
    def of(cls, pool: Pool) -> dict[str, Any]:
        """Return what is told of a pool."""
        totals, recent = pool.totals, pool.recent
        counts = {name: getattr(totals, name) for name in CountsOut.model_fields if
                  hasattr(totals, name)}  # fmt: skip
        return {
            "alias": pool.alias,
            "kind": pool.kind,
            "processes": len(pool.processes),
            "limits": {name: getattr(pool.limits, name) for name in LimitsOut.model_fields},
            "gauges": {name: getattr(pool.gauges, name) for name in GaugesOut.model_fields},
            "counts": counts | recent.percentiles(),
            "most": pool.most,
        }


class AdviceOut(Schema):
    """Sizes in connections a process; 0 is what cannot be told yet."""

    busy: float
    little: int
    hikari: int
    deadlock_floor: int
    suggested: int
    because: str


class PoolProcessOut(Schema):
    """One process's part of a pool."""

    name: str
    role: str
    max_size: int
    gauges: GaugesOut


class DetailOut(PoolOut):
    """A pool with its processes, its server and how large it should be."""

    by_process: list[PoolProcessOut]
    server: ServerOut | None
    advice: AdviceOut

    @classmethod
    def with_advice(cls, pool: Pool, advice: Advice) -> dict[str, Any]:
        """Return all that is told of a pool."""
        server = pool.server
        return {
            **cls.of(pool),
            "by_process": [
                {
                    "name": one.name,
                    "role": one.role,
                    "max_size": one.pool.max_size,
                    "gauges": {
                        name: getattr(one.pool.gauges, name) for name in GaugesOut.model_fields
                    },
                }
                for one in pool.processes
            ],
            "server": None if server is None else {
                "limit": server.limit, "reserved": server.reserved, "used": server.used,
            },
            "advice": {name: getattr(advice, name) for name in AdviceOut.model_fields},
        }  # fmt: skip


class SuspendIn(Schema):
    """For how long no connection is handed out; it ends by itself."""

    model_config = {"extra": "forbid", "strict": True}

    seconds: float = Field(gt=0, le=MOST_SUSPENDED_SECONDS, examples=[10.0])

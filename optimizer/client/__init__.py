"""The Python client for bot code: typed, pooled, sync and async.

It needs httpx and msgspec; `balancer`, which picks in the bot's process, needs xxhash as well.
"""

from optimizer.client.async_collecting import AsyncCollector
from optimizer.client.batch_calls import (
    BatchItem,
    DeadLetter,
    DeadLetters,
    Progress,
    Run,
    Submitted,
)
from optimizer.client.cache import Entry, Invalidated
from optimizer.client.clients import AsyncTuneup, Tuneup
from optimizer.client.collecting import Collector
from optimizer.client.pools import (
    Pool,
    PoolAdvice,
    PoolCounts,
    PoolDetail,
    PoolGauges,
    PoolLimits,
    PoolProcess,
    PoolsAway,
    PoolServer,
)
from optimizer.client.protocol import (
    ApiError,
    BatchesAway,
    Bucket,
    CacheAway,
    Charge,
    Consumer,
    Decision,
    InvalidFields,
    JobFull,
    LimiterAway,
    Standing,
    TuneupError,
    Unauthorized,
    Unavailable,
    Verdict,
)
from optimizer.client.queries import (
    CacheAdvice,
    Cost,
    Finding,
    Findings,
    Harm,
    IndexAdvice,
    Query,
    Recommendations,
    Report,
)

__all__ = [
    "CacheAdvice",
    "Cost",
    "Finding",
    "Findings",
    "Harm",
    "IndexAdvice",
    "Query",
    "Recommendations",
    "Report",
    "ApiError",
    "AsyncCollector",
    "AsyncTuneup",
    "BatchItem",
    "BatchesAway",
    "Bucket",
    "CacheAway",
    "Charge",
    "Collector",
    "Consumer",
    "DeadLetter",
    "DeadLetters",
    "Decision",
    "Entry",
    "Invalidated",
    "InvalidFields",
    "JobFull",
    "LimiterAway",
    "Pool",
    "PoolAdvice",
    "PoolCounts",
    "PoolDetail",
    "PoolGauges",
    "PoolLimits",
    "PoolProcess",
    "PoolServer",
    "PoolsAway",
    "Progress",
    "Run",
    "Standing",
    "Submitted",
    "Tuneup",
    "TuneupError",
    "Unauthorized",
    "Unavailable",
    "Verdict",
]

"""The Python client for bot code: typed, pooled, sync and async. Needs httpx and msgspec alone."""

from optimizer.client.clients import AsyncTuneup, Tuneup
from optimizer.client.protocol import (
    ApiError,
    Bucket,
    Charge,
    Consumer,
    Decision,
    InvalidFields,
    LimiterAway,
    Standing,
    TuneupError,
    Unauthorized,
    Unavailable,
    Verdict,
)

__all__ = [
    "ApiError",
    "AsyncTuneup",
    "Bucket",
    "Charge",
    "Consumer",
    "Decision",
    "InvalidFields",
    "LimiterAway",
    "Standing",
    "Tuneup",
    "TuneupError",
    "Unauthorized",
    "Unavailable",
    "Verdict",
]

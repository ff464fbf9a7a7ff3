"""The Python client for bot code: typed, pooled, sync and async. Needs httpx and msgspec alone."""

from optimizer.client.clients import AsyncTuneup, Tuneup
from optimizer.client.protocol import (
    ApiError,
    Decision,
    InvalidFields,
    LimiterAway,
    TuneupError,
    Unauthorized,
    Unavailable,
)

__all__ = [
    "ApiError",
    "AsyncTuneup",
    "Decision",
    "InvalidFields",
    "LimiterAway",
    "Tuneup",
    "TuneupError",
    "Unauthorized",
    "Unavailable",
]

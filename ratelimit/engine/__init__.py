"""The token bucket; knows no Django."""

from ratelimit.engine.limit import MAX_SUBJECT_LENGTH, Decision, Limit
from ratelimit.engine.token_bucket import TokenBucket

__all__ = ["MAX_SUBJECT_LENGTH", "Decision", "Limit", "TokenBucket"]

"""The limiter's algorithms; knows no Django."""

from ratelimit.engine.buckets import Buckets
from ratelimit.engine.limit import MAX_SUBJECT_LENGTH, BadArgument, Decision, Limit, Verdict

__all__ = ["MAX_SUBJECT_LENGTH", "BadArgument", "Buckets", "Decision", "Limit", "Verdict"]

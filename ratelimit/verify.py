"""Self-checks against the running system, each with a bucket of its own."""

import secrets

from optimizer.control.redis import call
from optimizer.control.registry import Check
from ratelimit.engine import Buckets, Limit
from ratelimit.services.questions import DECIDE, GIVE

_LIMIT = Limit("verify", capacity=3, refill_tokens=1, refill_period_seconds=60)


def _bucket() -> tuple[Buckets, str]:
    return Buckets(DECIDE, GIVE, prefix="tuneup:verify"), f"verify-{secrets.token_hex(8)}"


def admits_its_capacity() -> str:
    """A full bucket admits exactly its capacity."""
    bucket, subject = _bucket()
    answers = [bucket.check(subject, _LIMIT).allowed for _ in range(5)]
    bucket.reset(subject)
    if answers != [True] * 3 + [False] * 2:
        raise AssertionError(f"a bucket of 3 answered {answers}")
    return "3 of 5 admitted"


def tells_the_wait() -> str:
    """A denial says when the next token comes."""
    bucket, subject = _bucket()
    bucket.check(subject, _LIMIT, 3)
    wait = bucket.check(subject, _LIMIT).retry_after_seconds
    bucket.reset(subject)
    if not 55 < wait <= 60:
        raise AssertionError(f"one token a minute, but the wait is {wait} s")
    return f"wait {wait:.1f} s"


def denies_without_writing() -> str:
    """A denial leaves the bucket as it was."""
    bucket, subject = _bucket()
    bucket.check(subject, _LIMIT, 3)
    before = call(lambda r: r.get(bucket.key(subject)))
    bucket.check(subject, _LIMIT)
    after = call(lambda r: r.get(bucket.key(subject)))
    bucket.reset(subject)
    if before != after:
        raise AssertionError("a denial changed the stored bucket")
    return "unchanged"


CHECKS = (
    Check("a bucket admits exactly its capacity", admits_its_capacity),
    Check("a denial tells the true wait", tells_the_wait),
    Check("a denial writes nothing", denies_without_writing),
)

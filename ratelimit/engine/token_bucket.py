"""The token bucket over Redis: one atomic script, one round trip, one clock.

Source of the algorithm: J. Turner, "New Directions in Communications", IEEE Communications
Magazine 1986. The bucket holds `capacity` tokens and gains `refill_tokens` each period; a call
spends its cost or is denied, and a denial says exactly when it would pass.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import NoScriptError

from ratelimit.engine.limit import MAX_SUBJECT_LENGTH, MICRO, Decision, Limit

R = TypeVar("R")
Call = Callable[[Callable[[Redis], Any]], Any]

_SCRIPT = Path(__file__).with_name("token_bucket.lua").read_text(encoding="utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class TokenBucket:
    """Buckets in Redis, reached through `call`, which takes a function of a client."""

    def __init__(self, call: Call, *, prefix: str = "tuneup:ratelimit") -> None:
        self._call, self._prefix = call, prefix

    def key(self, subject: str) -> str:
        """Return the bucket's key; the braces keep one subject's keys in one cluster slot.

        Raises ValueError when the subject is empty or longer than 256 characters.
        """
        if not 1 <= len(subject) <= MAX_SUBJECT_LENGTH:
            raise ValueError(f"subject must have 1 to {MAX_SUBJECT_LENGTH} characters")
        # A brace inside the subject would move the hash tag.
        if "{" in subject or "}" in subject:
            subject = "#" + hashlib.sha256(subject.encode()).hexdigest()
        return f"{self._prefix}:{{{subject}}}"

    def check(self, subject: str, limit: Limit, cost: int = 1) -> Decision:
        """Spend `cost` tokens (1 to the capacity) if they are there."""
        return self._run(subject, limit, cost, spend=True)

    def peek(self, subject: str, limit: Limit, cost: int = 1) -> Decision:
        """Say what `check` would, and spend nothing."""
        return self._run(subject, limit, cost, spend=False)

    def reset(self, subject: str) -> None:
        """Fill the subject's bucket."""
        key = self.key(subject)
        self._call(lambda r: r.delete(key))

    def _run(self, subject: str, limit: Limit, cost: int, *, spend: bool) -> Decision:
        if not 1 <= cost <= limit.capacity:
            raise ValueError(f"cost must be between 1 and {limit.capacity}, the tier's capacity")
        key = self.key(subject)
        arguments = (
            limit.capacity,
            cost,
            limit.refill_tokens,
            limit.refill_period_seconds,
            int(spend),
        )

        def run(redis: Redis) -> Any:
            try:
                return redis.evalsha(_SHA, 1, key, *arguments)
            except NoScriptError:  # Redis was restarted: EVAL loads the script again
                return redis.eval(_SCRIPT, 1, key, *arguments)

        allowed, remaining, wait, full = self._call(run)
        return Decision(
            allowed=bool(allowed),
            limit=limit,
            remaining=remaining,
            retry_after_seconds=wait / MICRO,
            reset_after_seconds=full / MICRO,
        )

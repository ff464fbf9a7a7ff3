"""The RateLimit and RateLimit-Policy fields of draft-ietf-httpapi-ratelimit-headers-10."""

import math

from ratelimit.engine import Decision, Limit


def policy_field(limit: Limit) -> str:
    """Return the bucket as a policy: q is the capacity, w the seconds in which it fills."""
    return f'"{limit.name}";q={limit.capacity};w={max(1, math.ceil(limit.full_after_seconds))}'


def fields(decision: Decision) -> dict[str, str]:
    """Return the header fields of a decision; Retry-After is never earlier than the true wait."""
    wait = math.ceil(decision.retry_after_seconds or decision.reset_after_seconds)
    headers = {
        "RateLimit-Policy": policy_field(decision.limit),
        "RateLimit": f'"{decision.limit.name}";r={decision.remaining};t={wait}',
    }
    if not decision.allowed:
        headers["Retry-After"] = str(max(1, math.ceil(decision.retry_after_seconds)))
    return headers

"""The RateLimit and RateLimit-Policy fields of draft-ietf-httpapi-ratelimit-headers-10."""

import math
from collections.abc import Iterable
from functools import lru_cache

from ratelimit.engine import Decision, Limit


@lru_cache(maxsize=4096)
def policy_item(policy: str, limit: Limit) -> str:
    """Return a tier's policies: q is the capacity, w the seconds in which an empty bucket fills."""
    window = max(1, math.ceil(limit.full_after_seconds))
    items = [f'"{policy}";q={limit.capacity};w={window}']
    if limit.quota:
        days = 1 if limit.quota_period == "day" else 31
        items.append(f'"{policy}-quota";q={limit.quota};w={days * 86_400}')
    if limit.concurrency:
        items.append(f'"{policy}-concurrency";q={limit.concurrency};qu="concurrent-requests"')
    return ", ".join(items)


def limit_item(decided: Decision) -> str:
    """Return what is left: r of it, t the seconds until there is more, or until it would pass."""
    wait = math.ceil(decided.retry_after_seconds or decided.reset_after_seconds)
    items = [f'"{decided.policy}";r={decided.remaining};t={wait}']
    if decided.quota_remaining >= 0:
        items.append(f'"{decided.policy}-quota";r={decided.quota_remaining}')
    if decided.slots_remaining >= 0:
        items.append(f'"{decided.policy}-concurrency";r={decided.slots_remaining}')
    return ", ".join(items)


def fields(decisions: Iterable[Decision]) -> dict[str, str]:
    """Return the header fields of decisions; Retry-After is never earlier than the true wait."""
    told = list(decisions)
    headers = {
        "RateLimit-Policy": ", ".join(policy_item(one.policy, one.limit) for one in told),
        "RateLimit": ", ".join(limit_item(one) for one in told),
    }
    if waits := [one.retry_after_seconds for one in told if not one.allowed]:
        headers["Retry-After"] = str(max(1, math.ceil(max(waits))))
    return headers

"""Self-checks against the running system, each with keys of its own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from caching.decorators import tiered
from caching.engine.remote import Away
from caching.services import invalidation
from optimizer.control.link import RedisAway
from optimizer.control.registry import Check


@contextmanager
def _prefix() -> Iterator[str]:
    """Give keys that nobody else has, and take them away again."""
    prefix = f"verify-{secrets.token_hex(8)}:"
    try:
        yield prefix
    finally:
        invalidation.pattern(tiered(), f"{prefix}*")


def reads_what_was_written() -> str:
    """A value comes back from each tier as it was written."""
    cache, value = tiered(), {"list": [1, 2], "text": "ä"}
    with _prefix() as prefix:
        cache.set(f"{prefix}a", value, 60)
        first = cache.get(f"{prefix}a")
        cache.tiers.store.drop([cache.name_of(f"{prefix}a")])
        second = cache.get(f"{prefix}a")
    if not first == second == value or first is second:
        raise AssertionError(f"wrote {value}, read {first} and {second}")
    return "both tiers"


def forgets_what_was_invalidated() -> str:
    """A pattern deletes what fits, and nothing else."""
    cache = tiered()
    with _prefix() as prefix:
        cache.set_many({f"{prefix}{one}": one for one in ("a1", "a2", "b1")}, 60)
        count = invalidation.pattern(cache, f"{prefix}a*")
        left = cache.get_many([f"{prefix}a1", f"{prefix}a2", f"{prefix}b1"])
    if count != 2 or list(left.values()) != ["b1"]:
        raise AssertionError(f"two of three fitted; {count} were deleted, {left} is left")
    return "2 of 3 deleted"


def refuses_what_is_forged() -> str:
    """A payload that somebody else wrote is a miss."""
    cache = tiered()
    with _prefix() as prefix:
        cache.set(f"{prefix}a", 1, 60)
        name = cache.name_of(f"{prefix}a")
        space = cache.tiers.spaces.of(f"{prefix}a")
        try:
            data = cache.tiers.remote.get(space, name) or b""
        except Away as error:
            raise AssertionError(f"Redis is away: {error}") from error
        watch = cache.tiers.watches.open(name)
        found = cache.tiers.opened(space, name, data[:-1] + bytes([data[-1] ^ 1]), watch)
        cache.tiers.watches.close(watch)
    if found is not None:
        raise AssertionError("a forged payload was read")
    return "counted as unreadable"


def keeps_its_generations() -> str:
    """Redis evicts nothing that has no time to live, or an old value could come back."""
    try:
        found = tiered().engine.link.call(lambda r: r.config_get("maxmemory-policy"))
    except (RedisAway, redis.ResponseError) as error:  # a hosted Redis may refuse to tell
        return f"not told: {error}"
    policy = str(found.get("maxmemory-policy", ""))
    if policy.startswith("allkeys"):
        raise AssertionError(f"maxmemory-policy is {policy}; use noeviction or a volatile one")
    return policy


CHECKS = (
    Check("both tiers give back what was written", reads_what_was_written),
    Check("a pattern deletes what fits", forgets_what_was_invalidated),
    Check("a forged payload is refused", refuses_what_is_forged),
    Check("Redis evicts no generation", keeps_its_generations),
)

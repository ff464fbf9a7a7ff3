"""One decision by each limiter: a function of a key that says whether the call may pass.

Every peer is used as its own documentation shows for many keys: stores and scripts are made once.
"""

import os
from collections.abc import Callable
from urllib.parse import urlsplit

Decide = Callable[[str], bool]
Make = Callable[[int, float], Decide]  # from a capacity and a rate a second

PEERS = (
    "limits fixed window",
    "limits moving window",
    "throttled-py token bucket",
    "throttled-py GCRA",
    "pyrate-limiter GCRA",
    "django-smart-ratelimit token bucket",
    "django-ratelimit",
)


def _period(capacity: int, rate: float) -> int:
    """Return the window, in whole seconds, in which a window limiter allows the capacity."""
    return max(1, round(capacity / rate))


def tuneup(capacity: int, rate: float) -> Decide:
    from ratelimit import limiter

    check = limiter.check
    return lambda key: check(key).allowed


def limits_fixed(capacity: int, rate: float) -> Decide:
    from limits import RateLimitItemPerSecond
    from limits.storage import RedisStorage
    from limits.strategies import FixedWindowRateLimiter

    strategy = FixedWindowRateLimiter(RedisStorage(os.environ["REDIS_URL"]))
    item = RateLimitItemPerSecond(capacity, _period(capacity, rate))
    return lambda key: strategy.hit(item, key)


def limits_moving(capacity: int, rate: float) -> Decide:
    from limits import RateLimitItemPerSecond
    from limits.storage import RedisStorage
    from limits.strategies import MovingWindowRateLimiter

    strategy = MovingWindowRateLimiter(RedisStorage(os.environ["REDIS_URL"]))
    item = RateLimitItemPerSecond(capacity, _period(capacity, rate))
    return lambda key: strategy.hit(item, key)


def _throttled(using: str) -> Make:
    def make(capacity: int, rate: float) -> Decide:
        from datetime import timedelta

        from throttled import Throttled, rate_limiter, store

        quota = rate_limiter.per_duration(
            timedelta(seconds=_period(capacity, rate)), capacity, burst=capacity
        )
        redis = store.RedisStore(server=os.environ["REDIS_URL"])
        throttle = Throttled(using=using, quota=quota, store=redis)
        return lambda key: not throttle.limit(key).limited

    return make


def pyrate(capacity: int, rate: float) -> Decide:
    from pyrate_limiter import GCRA, Limiter, Rate, RedisStateStore, StateBucket
    from redis import Redis

    redis = Redis.from_url(os.environ["REDIS_URL"])
    rates = [Rate(capacity, _period(capacity, rate) * 1000)]
    limiters: dict[str, Limiter] = {}

    def decide(key: str) -> bool:
        limiter = limiters.get(key)
        if limiter is None:
            store = RedisStateStore(redis, f"pyrate:{key}")
            limiter = limiters[key] = Limiter(StateBucket(rates, GCRA(), store))
        return bool(limiter.try_acquire(key, blocking=False))

    return decide


def smart(capacity: int, rate: float) -> Decide:
    from django.conf import settings
    from django_smart_ratelimit.algorithms import TokenBucketAlgorithm

    at = urlsplit(os.environ["REDIS_URL"])
    settings.RATELIMIT_REDIS = {
        "host": at.hostname,
        "port": at.port,
        "password": at.password,
        "db": int(at.path.strip("/") or 0),
    }
    from django_smart_ratelimit.backends.redis_backend import RedisBackend

    backend = RedisBackend()
    algorithm = TokenBucketAlgorithm({"bucket_size": capacity, "refill_rate": rate})
    period = _period(capacity, rate)
    return lambda key: bool(algorithm.is_allowed(backend, key, capacity, period)[0])


def django_ratelimit(capacity: int, rate: float) -> Decide:
    from django.test import RequestFactory
    from django_ratelimit.core import get_usage

    request = RequestFactory().get("/")
    window = (capacity, _period(capacity, rate))

    def decide(key: str) -> bool:
        usage = get_usage(request, group="bench", key=lambda *_: key, rate=window, increment=True)
        return not usage["should_limit"]

    return decide


CONTENDERS: dict[str, Make] = {
    "tuneup": tuneup,
    "limits fixed window": limits_fixed,
    "limits moving window": limits_moving,
    "throttled-py token bucket": _throttled("token_bucket"),
    "throttled-py GCRA": _throttled("gcra"),
    "pyrate-limiter GCRA": pyrate,
    "django-smart-ratelimit token bucket": smart,
    "django-ratelimit": django_ratelimit,
}

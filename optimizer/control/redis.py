"""Redis for every component: the link to `REDIS_URL`.

What it promises is said in `optimizer.control.link`.
"""

import os
from typing import Any

import redis
from django.conf import settings
from django.utils.module_loading import import_string
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from optimizer.control import metrics, redis_urls
from optimizer.control.link import Link, RedisAway


def is_cluster() -> bool:
    """Say whether keys live in several slots, so that no script sees them all."""
    return redis_urls.is_cluster(settings.REDIS_URL)


def new_client(**options: Any) -> redis.Redis:
    """Return a client of its own connection pool; `options` go to redis-py."""
    timeout, url = settings.REDIS_TIMEOUT_SECONDS, settings.REDIS_URL
    given: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A retry would double the time budget; the caller decides what a failure means.
        "retry": Retry(NoBackoff(), 0),
        **options,
    }
    if redis_urls.is_cluster(url):
        # It answers the same calls, but is none of redis.Redis's subclasses.
        cluster: Any = redis.RedisCluster.from_url(redis_urls.cluster_url(url), **given)
        found: redis.Redis = cluster
        return found
    if (watched := redis_urls.sentinels(url)) is not None:
        given |= {"password": watched.password, "db": watched.db}
        budget = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        manager: Any = Sentinel(watched.hosts, sentinel_kwargs=budget)  # type: ignore[no-untyped-call]
        master: redis.Redis = manager.master_for(watched.service, **given)
        return master
    return redis.Redis.from_url(url, **given)


def _new_shared_client() -> redis.Redis:
    """Return the client that all threads share, over the pool class that the settings name."""
    url = settings.REDIS_URL
    if redis_urls.is_cluster(url):  # it has a pool a node, of its own making
        return new_client()
    if redis_urls.sentinels(url) is not None:
        pool_class = import_string(settings.REDIS_SENTINEL_POOL_CLASS)
        return new_client(connection_pool_class=pool_class)
    timeout = settings.REDIS_TIMEOUT_SECONDS
    pool = import_string(settings.REDIS_POOL_CLASS).from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )
    return redis.Redis(connection_pool=pool)


def server_time(r: redis.Redis) -> float:
    """Return Redis's clock, in seconds since the epoch; of a cluster, one node's."""
    seconds, microseconds = r.eval("return redis.call('TIME')", 1, "tuneup:{control}:clock")
    return int(seconds) + int(microseconds) / 1e6


def _watch(is_open: bool) -> None:
    if is_open:
        metrics.BREAKER_OPENED.inc()
    metrics.BREAKER_OPEN.set(is_open)


link = Link(lambda: settings.REDIS_URL, new_client, _watch, _new_shared_client)
breaker = link.breaker
client, call, execute, aexecute = link.client, link.call, link.execute, link.aexecute
send, post, has_wire, forget = link.send, link.post, link.has_wire, link.forget


def _after_fork() -> None:
    link.forget()
    link.breaker.reset()


os.register_at_fork(after_in_child=_after_fork)

__all__ = [
    "RedisAway", "aexecute", "breaker", "call", "client", "execute", "forget", "has_wire",
    "is_cluster", "link", "new_client", "post", "send", "server_time",
]  # fmt: skip

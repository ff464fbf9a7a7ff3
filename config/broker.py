"""Celery's broker: its address as Celery writes it, and how its connections behave."""

from urllib.parse import quote

from optimizer.control.redis_urls import sentinels


def broker_of(url: str) -> tuple[str, dict[str, object]]:
    """Return the address for Celery and the transport's options."""
    if not url.startswith(("redis", "sentinel")):
        return url, {}
    options: dict[str, object] = {
        # A message whose worker was lost is given to another one after this; no task takes longer.
        "visibility_timeout": 900,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "queue_order_strategy": "priority",  # the queues in the order of the settings
        # Else who sends a task waits for ever on a Redis that hangs.
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        # Nor on one that is away: the pauses between Kombu's tries are seconds of a click.
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.2,
    }
    watched = sentinels(url)
    if watched is None:
        return url, options
    password = quote(watched.password or "", safe="")
    hosts = (f"sentinel://:{password}@{host}:{port}/{watched.db}" for host, port in watched.hosts)
    return ";".join(hosts), {**options, "master_name": watched.service}

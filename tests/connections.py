"""Cuts connections to Redis, but only this test's: other tests run beside it on the same server."""

from redis import Redis


def cut(redis: Redis, kind: str) -> int:
    """Kill the other connections of this database, "normal" or "pubsub"; return their number."""
    own = redis.client_id()
    database = str(redis.connection_pool.connection_kwargs["db"])
    found = [
        int(one["id"])
        for one in redis.client_list(_type=kind)
        if one["db"] == database and int(one["id"]) != own
    ]
    return sum(int(redis.client_kill_filter(_id=str(one))) for one in found)

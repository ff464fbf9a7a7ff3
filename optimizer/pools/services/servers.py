"""What the servers themselves say: how many connections they take, and how many they have."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

import msgspec
import redis
from django.conf import settings
from django.db import DatabaseError, connections

from optimizer.control.redis import RedisAway, call
from optimizer.pools.models import Kind

_KEPT_SECONDS = 10.0


class Server(msgspec.Struct, frozen=True):
    """`limit` connections in all, of which `reserved` are for superusers; `used` by anybody."""

    limit: int
    reserved: int
    used: int

    @property
    def room(self) -> int:
        """How many connections applications may have together."""
        return max(0, self.limit - self.reserved)


_kept: dict[str, tuple[float, Server | None]] = {}
_lock = Lock()


def server_of(alias: str, kind: str) -> Server | None:
    """Return what the server of a pool says, up to 10 seconds old; None where it cannot be asked.

    It costs a query: for pages and checks, not for a hot path.
    """
    with _lock:
        kept = _kept.get(alias)
    if kept is not None and monotonic() - kept[0] < _KEPT_SECONDS:
        return kept[1]
    ask = _ASK.get(kind)
    found = ask(alias) if ask is not None else None
    with _lock:
        _kept[alias] = (monotonic(), found)
    return found


def forget() -> None:
    """Have servers asked anew."""
    with _lock:
        _kept.clear()


def _postgresql(alias: str) -> Server | None:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT sum(setting::int) FILTER (WHERE name = 'max_connections'), "
                "sum(setting::int) FILTER (WHERE name <> 'max_connections'), "
                "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') "
                "FROM pg_settings WHERE name IN "
                "('max_connections', 'superuser_reserved_connections', 'reserved_connections')"
            )
            limit, reserved, used = cursor.fetchone()
    except DatabaseError:
        return None
    return Server(int(limit), int(reserved or 0), int(used))


def _redis(alias: str) -> Server | None:
    def ask(r: redis.Redis) -> Server | None:
        told = r.info("clients")
        limit = told.get("maxclients")
        return Server(int(limit), 0, int(told["connected_clients"])) if limit else None

    try:
        if alias == "cache" and settings.CACHE_REDIS_URL != settings.REDIS_URL:
            from django_redis import get_redis_connection

            return ask(get_redis_connection("redis"))
        return call(ask)
    except (RedisAway, redis.RedisError):
        return None


def _mongodb(alias: str) -> Server | None:
    from pymongo.errors import PyMongoError

    try:
        told = connections[alias].database.client.admin.command("serverStatus")  # type: ignore[attr-defined]
        found = told["connections"]
        used = int(found["current"])
        return Server(used + int(found["available"]), 0, used)
    except (PyMongoError, DatabaseError, KeyError):
        return None


_ASK: dict[str, Callable[[str], Server | None]] = {
    Kind.POSTGRESQL: _postgresql,
    Kind.REDIS: _redis,
    Kind.MONGODB: _mongodb,
}

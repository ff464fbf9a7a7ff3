"""The live settings of pools: rows -> the limits that each process obeys."""

from typing import Any

from django.conf import settings as django_settings
from django.db import connections

from optimizer.control.live import LiveSettings
from optimizer.pools.engine.base import pools as registry
from optimizer.pools.engine.limits import Limits, Settings
from optimizer.pools.models import Kind, PooledConnection, PoolsSettings

_OWN = tuple(name for name in Limits.__struct_fields__ if name != "suspended_until")


def load() -> Settings:
    """Read the rows."""
    row = PoolsSettings.load()
    return Settings(
        sample_stacks=row.sample_stacks,
        warn_percent=row.warn_percent,
        pools={one.alias: limits_of_row(one) for one in PooledConnection.objects.all()},
    )


def limits_of_row(row: PooledConnection) -> Limits:
    """Return a row's numbers as a pool obeys them."""
    until = row.suspended_until.timestamp() if row.suspended_until else 0.0
    values: dict[str, Any] = {name: getattr(row, name) for name in _OWN}
    return Limits(**values, suspended_until=until)


def limits_of(alias: str, kind: str) -> Limits:
    """Return the limits of a pool: its row's, or those that its database is set up with."""
    # Never the database: it is a pool's first connection that asks.
    found = pools.peek().pools.get(alias)
    return found if found is not None else given_limits(alias, kind)


def given_limits(alias: str, kind: str) -> Limits:
    """Return the limits of a pool that no admin has touched."""
    options = django_settings.DATABASES.get(alias, {}).get("OPTIONS", {})
    if kind == Kind.POSTGRESQL and isinstance(options.get("pool"), dict):
        return Limits(**{k: v for k, v in options["pool"].items() if k in ("min_size", "max_size")})
    if kind == Kind.MONGODB:
        return Limits(
            min_size=options.get("minPoolSize", 0),
            max_size=options.get("maxPoolSize", 100),
            acquire_timeout_seconds=options.get("waitQueueTimeoutMS", 800) / 1000,
            idle_timeout_seconds=options.get("maxIdleTimeMS", 60_000) / 1000,
        )
    if kind == Kind.REDIS:
        return Limits(
            min_size=0, max_size=50, acquire_timeout_seconds=django_settings.REDIS_TIMEOUT_SECONDS
        )
    if kind == Kind.SQLITE:
        return Limits(min_size=0, max_lifetime_seconds=60.0)
    if kind == Kind.HTTP:
        return Limits(min_size=0, max_size=20)
    return Limits()


def _obey(settings: Settings) -> None:
    """Give the pools of this process their new limits."""
    registry.sampler.every = settings.sample_stacks
    registry.apply()
    for alias, limits in settings.pools.items():
        database = connections.settings.get(alias, {})
        if "sqlite" in database.get("ENGINE", "") and not in_memory(database):
            # No pool: each thread keeps its connection, for as long as the row says.
            database["CONN_MAX_AGE"] = limits.max_lifetime_seconds


def in_memory(database: dict[str, Any]) -> bool:
    """Say whether a SQLite database ends with its connection."""
    return ":memory:" in str(database["NAME"]) or "mode=memory" in str(database["NAME"])


pools: LiveSettings[Settings] = LiveSettings("pools", load=load, default=Settings())
pools.follow(_obey)

"""The first rows: a pool for each connection that the settings name."""

from django.conf import settings

from optimizer.control.revisions import change
from optimizer.pools.live import given_limits
from optimizer.pools.models import Kind, PooledConnection
from optimizer.pools.models.pool import REDIS_ALIASES, kind_of_database

_NUMBERS = (
    "min_size", "max_size", "acquire_timeout_seconds", "idle_timeout_seconds",
    "max_lifetime_seconds",
)  # fmt: skip


def known_pools() -> dict[str, str]:
    """Return the kinds of the pools that the settings name, by alias."""
    found = {alias: kind_of_database(alias) for alias in settings.DATABASES}
    found |= dict.fromkeys(REDIS_ALIASES, Kind.REDIS.value)
    return {alias: kind for alias, kind in found.items() if kind}


def seed() -> None:
    """Write a row for each pool that has none."""
    stored = set(PooledConnection.objects.values_list("alias", flat=True))
    missing = {alias: kind for alias, kind in known_pools().items() if alias not in stored}
    if not missing:
        return
    with change("pools", reason="First pools"):
        for alias, kind in missing.items():
            given = given_limits(alias, kind)
            row = PooledConnection(alias=alias, kind=kind)
            for name in _NUMBERS:
                setattr(row, name, getattr(given, name))
            row.full_clean()
            row.save()

"""What is done to pools: recycle, suspend, resume, resize. Each is a revision of the settings."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from optimizer.control.redis import RedisAway
from optimizer.control.revisions import change
from optimizer.pools.models import PooledConnection
from optimizer.pools.models.pool import MOST_SUSPENDED_DEFAULT_SECONDS, MOST_SUSPENDED_SECONDS
from optimizer.pools.services import reporter
from optimizer.pools.services.servers import server_of


class UnknownPool(Exception):
    """There is no row of that alias."""


def recycle(alias: str) -> None:
    """Have every process replace all connections of a pool. Raises UnknownPool."""
    with change("pools", reason=f"Recycle {alias}"):
        row = _row(alias)
        row.generation += 1
        row.save()


def suspend(alias: str, seconds: float) -> None:
    """Have every process hand out no connection of a pool for a while; callers wait meanwhile.

    It ends by itself: an admin's page may need the very pool. Raises UnknownPool, ValidationError.
    """
    is_own = alias == DEFAULT_DB_ALIAS
    most = MOST_SUSPENDED_DEFAULT_SECONDS if is_own else MOST_SUSPENDED_SECONDS
    if not 0 < seconds <= most:
        says = f"Must be above 0 and up to {most} s."
        raise ValidationError({"seconds": says})
    with change("pools", reason=f"Suspend {alias}"):
        row = _row(alias)
        row.suspended_until = timezone.now() + timedelta(seconds=seconds)
        row.save()


def resume(alias: str) -> None:
    """End a suspension. Raises UnknownPool."""
    with change("pools", reason=f"Resume {alias}"):
        row = _row(alias)
        row.suspended_until = None
        row.save()


def resize(alias: str, max_size: int) -> None:
    """Set the size that was advised. Raises UnknownPool, ValidationError."""
    with change("pools", reason="As advised"):
        row = _row(alias)
        row.max_size = max_size
        row.min_size = min(row.min_size, max_size)
        row.full_clean()
        refuse_too_many(row)
        row.save()


def refuse_too_many(row: PooledConnection) -> None:
    """Raise ValidationError for what the server would surely refuse; say nothing otherwise."""
    server = server_of(row.alias, row.kind)
    if server is None:
        return
    if row.max_size > server.room:
        says = f"Must be at most {server.room}: the server takes no more of one process."
        raise ValidationError({"max_size": says})
    count = processes_of(row.alias)
    if row.min_size * count > server.room:
        most = server.room // count
        says = f"Must be at most {most}: the server takes {server.room} of {count} processes."
        raise ValidationError({"min_size": says})


def processes_of(alias: str) -> int:
    """Return how many living processes have the pool, 1 at least."""
    try:
        found = reporter.reports()
    except RedisAway:
        return 1
    return max(1, sum(any(pool.alias == alias for pool in one.pools) for one in found))


def _row(alias: str) -> PooledConnection:
    row = PooledConnection.objects.select_for_update().filter(alias=alias).first()
    if row is None:
        raise UnknownPool(alias)
    found: PooledConnection = row
    return found

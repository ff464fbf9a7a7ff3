"""What admins set for pools."""

from optimizer.pools.models.component import PoolsSettings
from optimizer.pools.models.pool import Kind, PooledConnection

__all__ = ["Kind", "PooledConnection", "PoolsSettings"]

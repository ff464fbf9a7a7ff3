"""What a transaction writes to the cache: others see it once it is committed, and never before.

It waits among the transaction's `on_commit` callbacks, so Django itself drops it with a rolled-back
transaction or savepoint; reads of the same connection look there first.
"""

import math
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from caching.engine.reading import MISSING
from caching.engine.values import freeze

GONE: Any = object()  # what a transaction has deleted
Change = tuple[Any, Any, float | None, float]  # frozen value, thaw, time to live, when it ends
Apply = Callable[[], Any]
_READ_COMMITTED = 2  # psycopg's number


def change(value: Any, ttl: float | None) -> Change:
    """Return a written value as it waits; nobody can change it meanwhile."""
    return (*freeze(value), ttl, math.inf if ttl is None else monotonic() + ttl)


class Waiting:
    """One change that waits for its commit. `covers` says which other names it deletes."""

    __slots__ = ("_apply", "changes", "covers", "owner")

    def __init__(
        self,
        owner: object,
        changes: Mapping[str, Any],
        apply: Apply,
        covers: Callable[[str], bool] | None,
    ) -> None:
        self.owner, self.changes, self.covers = owner, dict(changes), covers
        self._apply = apply

    def __call__(self) -> None:
        self._apply()


def is_open(using: str = DEFAULT_DB_ALIAS) -> bool:
    """Say whether this thread is within a transaction."""
    return connections[using].in_atomic_block


def snapshot(using: str = DEFAULT_DB_ALIAS) -> object | None:
    """Return what this thread's reads show the state of; None: that cannot be told.

    Asked within a transaction and after its commit, it is the same where all that the transaction
    read was the newest: another may have committed, and invalidated, before this one's first look
    at the cache and yet after its first read of the database.
    """
    connection: Any = connections[using]
    if connection.vendor == "sqlite":  # reads one snapshot, from the first read on
        with connection.cursor() as cursor:
            version: int = cursor.execute("PRAGMA data_version").fetchone()[0]
        return version
    level = getattr(connection, "isolation_level", None)
    # Each statement reads what is committed by then.
    return level if connection.vendor == "postgresql" and level == _READ_COMMITTED else None


def defer(
    owner: object,
    changes: Mapping[str, Any],
    apply: Apply,
    covers: Callable[[str], bool] | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> None:
    """Apply a change when the transaction of this thread is committed."""
    transaction.on_commit(Waiting(owner, changes, apply, covers), using=using, robust=True)


def waiting(owner: object, using: str = DEFAULT_DB_ALIAS) -> list[Waiting]:
    """Return what waits for the commit of this thread's transaction, the newest first."""
    calls = [one[1] for one in reversed(connections[using].run_on_commit)]
    return [one for one in calls if isinstance(one, Waiting) and one.owner is owner]


def seen(changes: list[Waiting], name: str) -> Any:
    """Return the change that this transaction has made of a name, GONE, or MISSING for none."""
    for one in changes:
        found = one.changes.get(name, MISSING)
        if found is not MISSING:
            return GONE if found is not GONE and monotonic() >= found[3] else found
        if one.covers is not None and one.covers(name):
            return GONE
    return MISSING


def value_of(changed: Any) -> Any:
    """Return a waiting value, for the caller alone; None where it is GONE."""
    if changed is GONE:
        return None
    stored, thaw, *_ = changed
    return stored if thaw is None else thaw(stored)

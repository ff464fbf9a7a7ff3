"""Django's database router over the primary and its replicas, in DATABASE_ROUTERS with replicas."""

from typing import Any

from django.conf import settings
from django.db.models import Model

from optimizer.balancer.services.reads import readers, routing


class ReadRouter:
    """Writes go to the primary, reads to replicas that have what their reader wrote.

    `select_for_update` counts as a write for Django, and needs a transaction besides; both lead to
    the primary.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if not _is_of_primary(hints.get("instance")):
            return None
        return routing.alias_for_read(model)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        if not _is_of_primary(hints.get("instance")):
            return None
        one = readers.current.get()
        if one is not None:
            one.wrote()  # what goes by COPY is seen nowhere else
        return readers.PRIMARY

    def allow_relation(self, one: Model, other: Model, **_: Any) -> bool | None:
        both = _is_of_primary(one) and _is_of_primary(other)
        return True if both else None

    def allow_migrate(self, db: str, *_: Any, **__: Any) -> bool | None:
        return False if db in settings.DATABASE_REPLICAS else None


def _is_of_primary(instance: Any) -> bool:
    """Say whether an instance is of the primary, or of nowhere yet."""
    state = getattr(instance, "_state", None)
    return state is None or state.db is None or routing.is_ours(state.db)

"""Keep MongoDB the second database: apps named in MONGODB_APPS live there, nothing else does."""

from typing import Any

from django.conf import settings
from django.db.models import Model

MONGO = "mongo"


class MongoAppsRouter:
    """Route the apps that opted in, and keep everything else off MongoDB."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return MONGO if model._meta.app_label in settings.MONGODB_APPS else None

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self.db_for_read(model, **hints)

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        both = {model._meta.app_label in settings.MONGODB_APPS for model in (one, other)}
        return False if len(both) == 2 else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (db == MONGO) == (app_label in settings.MONGODB_APPS)

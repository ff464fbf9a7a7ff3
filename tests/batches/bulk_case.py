"""What the tests of bulk writes share."""

from typing import Any

from django.conf import settings
from django.db import models

from optimizer.batches.services.bulk_work import Way

IS_POSTGRESQL = "postgresql" in settings.DATABASES["default"]["ENGINE"]
FAST_WAYS: tuple[Way, ...] = ("copy", "unnest") if IS_POSTGRESQL else ("executemany",)
WAYS: tuple[Way, ...] = (*FAST_WAYS, "orm")


def members(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    """Return a row for each number, which is its chat and its user."""
    return [{"chat": 1, "user": number, "nick": f"n{number}"} | more for number in numbers]


def stored(model: type[models.Model], *names: str) -> list[tuple[Any, ...]]:
    """Return what is stored, sorted."""
    return sorted(model._base_manager.values_list(*names), key=repr)

"""Paths of relations, as select_related and prefetch_related name them."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model

TO_MANY, TO_ONE = "many", "one"


def relation(model: type[Model], name: str) -> Any:
    """Return the field or relation that a model has under the name of its attribute, or None."""
    fields: list[Any] = list(model._meta.get_fields())
    for one in fields:
        accessor = one.get_accessor_name() if one.auto_created and not one.concrete else one.name
        if accessor == name or one.name == name:
            return one
    return next((one for one in model._meta.private_fields if one.name == name), None)


def models_along(model: type[Model], path: str) -> Iterator[tuple[type[Model], str]]:
    """Yield each model on a path, with the path up to it."""
    current: Any = model
    parts = path.split("__")
    for at, name in enumerate(parts):
        found = relation(current, name)
        current = getattr(found, "related_model", None)
        if current is None:
            return
        yield current, "__".join(parts[: at + 1])


def is_to_many(model: type[Model], name: str) -> bool:
    """Say whether a relation leads to several objects, so that select_related cannot follow it."""
    found = relation(model, name)
    return bool(found is not None and (found.one_to_many or found.many_to_many))

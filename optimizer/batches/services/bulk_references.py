"""Finds rows whose foreign keys point at nothing, before a database refuses the whole write."""

from collections.abc import Iterable
from typing import Any

from django.db import router
from django.db.models import Model

from optimizer.batches.services.bulk_fields import check_model, field_of
from optimizer.batches.services.bulk_rows import Row, keys_of, names_of

KEYS_A_QUERY = 30_000  # SQLite takes 32,766 parameters, PostgreSQL 65,535


def missing_references(
    model: type[Model], rows: Iterable[Row], using: str | None = None
) -> list[int]:
    """Return the positions of the rows with a foreign key that is stored nowhere.

    Sends one query for each foreign key that the rows give, and one more for each 30,000 keys. NULL
    points at nothing on purpose and is no miss. Raises ValueError as the writes do, and for a key
    that cannot be one of the field's.
    """
    check_model(model)
    given = list(rows)
    if not given:
        return []
    names, are_instances = names_of(model, given)
    alias, missing = using or router.db_for_write(model), set[int]()
    for name in names:
        field: Any = field_of(model, name, "the rows")
        if not field.is_relation:
            continue
        values = [getattr(row, field.attname) if are_instances else row[name] for row in given]  # type: ignore[index]
        target = _plain(field)
        keys = [None if key is None else target.to_python(key) for key in keys_of(field, values)]
        found = _stored(field, {key for key in keys if key is not None}, alias)
        missing.update(
            number for number, key in enumerate(keys) if key is not None and key not in found
        )
    return sorted(missing)


def _stored(field: Any, keys: set[Any], alias: str) -> set[Any]:
    name = field.target_field.attname
    rows = field.related_model._base_manager.using(alias)
    wanted, found = sorted(keys), set[Any]()
    for start in range(0, len(wanted), KEYS_A_QUERY):
        some = rows.filter(**{f"{name}__in": wanted[start : start + KEYS_A_QUERY]})
        found.update(some.values_list(name, flat=True))
    return found


def _plain(field: Any) -> Any:
    """Return the field that a chain of foreign keys ends at."""
    while field.is_relation:
        field = field.target_field
    return field

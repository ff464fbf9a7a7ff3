"""Values as the database takes them.

A field knows how to prepare its value, at some microseconds each. What the built-in fields would
hand on as it is, is not asked about: a whole column of plain values costs one look at its types.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, ForeignKey, OneToOneField
from django.db.models.expressions import DatabaseDefault

from optimizer.batches.services.bulk_fields import AUTO_FIELDS


class LeftOut:
    """In place of a value that the database makes: a number of its own, a `db_default`."""


LEFT_OUT = LeftOut()
NONE = type(None)


class NeedsExpression(Exception):
    """A field writes through an SQL expression, so only Django's own compiler can write it."""


_PLAIN: dict[type, type] = {
    models.AutoField: int,
    models.BigAutoField: int,
    models.SmallAutoField: int,
    models.IntegerField: int,
    models.BigIntegerField: int,
    models.SmallIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveBigIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.CharField: str,
    models.TextField: str,
    models.SlugField: str,
    models.EmailField: str,
    models.URLField: str,
    models.FloatField: float,
    models.BooleanField: bool,
}
_PLAIN_NATIVE: dict[type, type] = {  # where the driver takes them
    models.DecimalField: Decimal,
    models.DateField: dt.date,
    models.TimeField: dt.time,
    models.DurationField: dt.timedelta,
    models.UUIDField: uuid.UUID,
}
_SHORT_WAYS_SQLITE: dict[type, tuple[type, Callable[[Any], Any]]] = {
    models.DateField: (dt.date, dt.date.isoformat),
    models.UUIDField: (uuid.UUID, attrgetter("hex")),
}


def prepare(
    field: Field, values: list[Any], connection: BaseDatabaseWrapper, *, adds: bool
) -> list[Any]:
    """Return the values of one column as the driver takes them, `LEFT_OUT` where there is none.

    Raises what the field raises, with a note on the row, ValueError for an expression, and
    NeedsExpression where the field makes one.
    """
    types = set(map(type, values))
    if adds and may_leave_out(field) and (NONE in types or DatabaseDefault in types):
        absent = (DatabaseDefault, NONE) if isinstance(field, AUTO_FIELDS) else DatabaseDefault
        kept = [LEFT_OUT if isinstance(value, absent) else value for value in values]
        if all(value is LEFT_OUT for value in kept):
            return kept
        types = {type(value) for value in kept}
        values = kept
    if _is_plain(field, types - {NONE, LeftOut}, values, connection):
        return values
    if (short := _short_way(field, types, values, connection)) is not None:
        return [None if value is None else short(value) for value in values]
    return [_prepared(field, value, number, connection) for number, value in enumerate(values)]


def may_leave_out(field: Field) -> bool:
    """Say whether the database can make this field's value."""
    return isinstance(field, AUTO_FIELDS) or field.has_db_default()


def has_own_placeholder(field: Field) -> bool:
    """Say whether a field wraps its parameter in SQL, which a COPY has no place for.

    Django's own ones only add a cast or, on databases without COPY, a marker.
    """
    method = getattr(type(field), "get_placeholder", None)
    own = ("django.db.models.", "django.contrib.postgres.")
    return method is not None and not method.__module__.startswith(own)


def _target(field: Field) -> Field:
    while type(field) in (ForeignKey, OneToOneField):
        field = field.target_field  # type: ignore[attr-defined]
    return field


def _is_plain(
    field: Field, types: set[type], values: list[Any], connection: BaseDatabaseWrapper
) -> bool:
    if not types:  # a field of another's making may store None as something
        return type(field).__module__.startswith("django.")
    if len(types) > 1:
        return False
    kind, field = type(_target(field)), _target(field)
    if kind in _PLAIN:
        return types == {_PLAIN[kind]}
    if connection.vendor != "postgresql":
        return False
    if kind in _PLAIN_NATIVE:
        return types == {_PLAIN_NATIVE[kind]}
    if kind is models.DateTimeField and types == {dt.datetime}:
        zones = {value.tzinfo for value in values if value is not None}
        return None not in zones if settings.USE_TZ else zones == {None}
    return False


def _short_way(
    field: Field, types: set[type], values: list[Any], connection: BaseDatabaseWrapper
) -> Callable[[Any], Any] | None:
    if connection.vendor != "sqlite":
        return None
    kind, types = type(_target(field)), types - {NONE}
    wanted, short = _SHORT_WAYS_SQLITE.get(kind, (None, None))
    if types == {wanted}:
        return short
    if kind is models.DateTimeField and types == {dt.datetime} and settings.USE_TZ:
        zones = {value.tzinfo for value in values if value is not None}
        if zones == {dt.UTC} and connection.timezone is dt.UTC:
            return _utc_text
    return None


def _utc_text(value: dt.datetime) -> str:
    return value.isoformat(" ")[:-6]  # without +00:00, as Django stores it


def _prepared(field: Field, value: Any, number: int, connection: BaseDatabaseWrapper) -> Any:
    if value is LEFT_OUT:
        return value
    given = value
    try:
        value = field.get_db_prep_save(value, connection)
    except Exception as error:
        error.add_note(f"row {number}, field {field.name!r}")
        raise
    if hasattr(value, "as_sql"):
        if hasattr(given, "as_sql"):
            raise ValueError(f"row {number}: {field.name!r} is an expression; give a value.")
        raise NeedsExpression(field.name)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, int) and type(value) not in (int, bool):
        return int(value)  # psycopg's Int4 and the like, which Django wraps for parameters
    return value

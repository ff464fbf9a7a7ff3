"""From an item to the fields of a model: names, types and validators, checked before writing."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models

from optimizer.batches.engine.settings import Job
from optimizer.batches.services.errors import Misconfigured

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Mapping:
    """How items become rows of a model. `keys` are the attribute names of the key fields."""

    model: type[models.Model]
    fields: dict[str, models.Field]  # by the attribute's name
    names: dict[str, str | None]  # in the item -> the attribute's name, None is left out
    converters: dict[str, Convert]
    keys: tuple[str, ...]
    required: tuple[str, ...]

    def convert(self, item: Any) -> dict[str, Any]:
        """Return the row of an item. Raises ValidationError that names the fields."""
        if not isinstance(item, dict):
            raise ValidationError("An item must be an object with the model's fields.")
        row: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        names, converters = self.names, self.converters
        for given, value in item.items():
            try:
                name = names[given]
            except KeyError:
                errors[given] = ["There is no such field."]
                continue
            if name is None:
                continue
            try:
                row[name] = converters[name](value)
            except ValidationError as error:
                errors[given] = error.messages
            except (TypeError, ValueError, OverflowError) as error:
                errors[given] = [str(error)]
        for name in self.required:
            if name not in row and not errors:
                errors[name] = ["Is missing."]
        if errors:
            raise ValidationError(errors)
        return row


def mapping_of(job: Job) -> Mapping:
    """Return how a job's items become rows. Raises Misconfigured, naming the job's field."""
    try:
        model = apps.get_model(job.model)
    except (LookupError, ValueError) as error:
        raise Misconfigured(f"model: there is no model {job.model!r}") from error
    fields = {
        field.attname: field
        for field in model._meta.concrete_fields
        if not getattr(field, "generated", False)
    }
    names: dict[str, str | None] = {}
    for field in fields.values():
        names[field.attname] = names[field.name] = field.attname
    keys = tuple(_named(model, names, name, "key_fields") for name in job.keys)
    if job.sequence_field:
        _named(model, names, job.sequence_field, "sequence_field")
    targets = {to for to in job.fields.values() if to is not None}
    for to in sorted(targets):
        _named(model, names, to, "fields")
    own = dict(names)
    for given, wanted in job.fields.items():
        names[given] = None if wanted is None else own[wanted]
    required = list(keys)
    if job.sequence_field and job.action in ("upsert", "update"):
        required.append(names[job.sequence_field] or "")
    if job.action == "insert":
        required += [name for name, field in fields.items() if _is_needed(field)]
    converters = {name: _converter(field) for name, field in fields.items()}
    return Mapping(model, fields, names, converters, keys, tuple(dict.fromkeys(required)))


def _named(model: type[models.Model], names: dict[str, str | None], name: str, setting: str) -> str:
    try:
        found = names[name]
    except KeyError:
        known = ", ".join(sorted(names))
        message = f"{setting}: {model._meta.label} has no field {name!r}; it has {known}"
        raise Misconfigured(message) from None
    return found or name


def _is_needed(field: models.Field) -> bool:
    """Say whether a row cannot be inserted without the field."""
    return not (
        field.null
        or field.has_default()
        or field.has_db_default()
        or field.primary_key
        or getattr(field, "auto_now", False)
        or getattr(field, "auto_now_add", False)
        or field.empty_strings_allowed
    )


def _converter(field: models.Field) -> Convert:
    """Return what checks and converts a value of a field, at once where the type is plain."""
    target = field
    try:
        while target.remote_field is not None:
            target = target.target_field  # type: ignore[attr-defined]
    except FieldDoesNotExist as error:
        raise Misconfigured(f"model: {field} points nowhere") from error
    plain: type | None = None
    if isinstance(target, models.IntegerField) and not isinstance(field, models.GeneratedField):
        plain = int
    elif isinstance(target, models.CharField | models.TextField):
        plain = str
    elif isinstance(target, models.FloatField):
        plain = float
    elif isinstance(target, models.BooleanField):
        plain = bool
    known = (MinValueValidator, MaxValueValidator, MaxLengthValidator)
    checks = [one for one in target.validators if type(one) is not MaxLengthValidator]
    simple = plain is not None and not field.choices and all(type(one) in known for one in checks)
    low, high, longest = _bounds(target)

    def slow(value: Any) -> Any:
        if value is None:
            if field.null or (field.primary_key and not field.remote_field):
                return None
            raise ValidationError("Must not be null.")
        if isinstance(value, bool) and plain is not bool and plain is not None:
            raise ValidationError(f"Must be {_article(target)}.")
        value = target.to_python(value)
        if field.choices and value not in (None, ""):
            field.validate(value, None)
        target.run_validators(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValidationError("Must be a finite number.")
        if isinstance(value, str) and "\0" in value:
            raise ValidationError("Must not hold the character U+0000.")
        return value

    if not simple:
        return slow
    if plain is str:
        return _text(slow, longest)
    return _number(slow, plain, low, high) if plain in (int, float) else _flag(slow)


def _text(slow: Convert, longest: float) -> Convert:
    def convert(value: Any) -> Any:
        if type(value) is str and len(value) <= longest and "\0" not in value:
            return value
        return slow(value)

    return convert


def _number(slow: Convert, kind: type[Any], low: float, high: float) -> Convert:
    def convert(value: Any) -> Any:
        return value if value.__class__ is kind and low <= value <= high else slow(value)

    return convert


def _flag(slow: Convert) -> Convert:
    return lambda value: value if type(value) is bool else slow(value)


def _article(field: models.Field) -> str:
    return f"a value for {type(field).__name__}"


def _bounds(field: models.Field) -> tuple[float, float, float]:
    low, high = float("-inf"), float("inf")
    for one in field.validators:
        limit = getattr(one, "limit_value", None)
        limit = limit() if callable(limit) else limit
        if type(one) is MinValueValidator and isinstance(limit, int | float):
            low = max(low, limit)
        elif type(one) is MaxValueValidator and isinstance(limit, int | float):
            high = min(high, limit)
    if isinstance(field, models.FloatField):
        # JSON has no infinity; what Python reads as one would be stored as such.
        low, high = max(low, -1.7976931348623157e308), min(high, 1.7976931348623157e308)
    return low, high, field.max_length or float("inf")

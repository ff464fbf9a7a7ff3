"""The rows of a bulk write as columns of Python values: what they give, and Django's defaults."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from django.db.models import DateField, DateTimeField, Field, Model, TimeField

from optimizer.batches.services.bulk_fields import Layout, is_automatic, stored_fields

Row = Mapping[str, Any] | Model
Columns = list[list[Any]]


def names_of(model: type[Model], rows: Sequence[Row]) -> tuple[list[str], bool]:
    """Return the names that the rows give, and whether they are instances.

    Raises ValueError for rows of another kind, and for a mapping with keys unlike the first's.
    """
    first = rows[0]
    kinds = set(map(type, rows))
    if isinstance(first, Model):
        for kind in kinds:
            if not _is_of(kind, model):
                raise _odd_row(rows, kind, f"instances of {model.__name__}")
        return [field.attname for field in stored_fields(model)], True
    for kind in kinds:
        if not issubclass(kind, Mapping):
            raise _odd_row(rows, kind, f"mappings or instances of {model.__name__}")
    names = list(first)
    if set(map(len, rows)) != {len(names)}:  # type: ignore[arg-type]  # mappings, as just seen
        raise _odd_keys(rows, names)
    return names, False


def columns_of(layout: Layout, rows: Sequence[Row]) -> Columns:
    """Return the layout's columns, with defaults where the rows give nothing.

    A date or time that Django sets itself is set where it is not given; for instances always, as
    `save` does.
    """
    if isinstance(rows[0], Model):
        _refuse_deferred(layout, rows)
        return [_of_instances(field, rows, add=layout.adds) for field in layout.fields]
    columns = [_given(name, rows, layout) for name in layout.names]
    for number, field in enumerate(layout.fields[: len(columns)]):
        if field.is_relation and any(
            issubclass(kind, Model) for kind in set(map(type, columns[number]))
        ):
            columns[number] = keys_of(field, columns[number])
        if is_automatic(field) and layout.adds and None in columns[number]:
            now = _now(layout, field)
            columns[number] = [now if value is None else value for value in columns[number]]
    instances: list[Model] | None = None
    for field in layout.fields[len(columns) :]:
        if is_automatic(field):
            columns.append([_now(layout, field)] * len(rows))
        elif _sets_itself(field):
            instances = instances or instances_of(layout, columns)
            columns.append([field.pre_save(one, layout.adds) for one in instances])
        elif callable(field.default):
            columns.append([field.get_default() for _ in rows])
        else:
            columns.append([field.get_default()] * len(rows))
    return columns


def instances_of(layout: Layout, columns: Columns) -> list[Model]:
    """Return the rows as instances of the model, of as many columns as there are."""
    names = [field.attname for field in layout.fields[: len(columns)]]
    return [
        layout.model(**dict(zip(names, values, strict=True)))
        for values in zip(*columns, strict=True)
    ]


def _given(name: str, rows: Sequence[Any], layout: Layout) -> list[Any]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        raise _odd_keys(rows, list(rows[0])) from None


def _odd_keys(rows: Sequence[Any], names: list[str]) -> ValueError:
    wanted = set(names)
    number = next(number for number, row in enumerate(rows) if set(row) != wanted)
    lacks, more = sorted(wanted - set(rows[number])), sorted(set(rows[number]) - wanted)
    parts = [f"lacks {', '.join(lacks)}"] if lacks else []
    parts += [f"has {', '.join(more)}"] if more else []
    return ValueError(
        f"row {number} {' and '.join(parts)}: all rows of a call have the same keys, here "
        f"{', '.join(names)}."
    )


def _odd_row(rows: Sequence[Row], kind: type, wanted: str) -> ValueError:
    number = next(number for number, row in enumerate(rows) if type(row) is kind)
    return ValueError(f"row {number} is of {kind.__name__}: give only {wanted}.")


def _is_of(kind: type, model: type[Model]) -> bool:
    return issubclass(kind, Model) and kind._meta.concrete_model is model._meta.concrete_model


def _refuse_deferred(layout: Layout, rows: Sequence[Any]) -> None:
    needed = {field.attname for field in layout.fields if not is_automatic(field)}
    for number, row in enumerate(rows):
        if not needed <= row.__dict__.keys():
            lacks = ", ".join(sorted(needed - row.__dict__.keys()))
            raise ValueError(f"row {number}: {lacks} is deferred, so it has no value.")


def _of_instances(field: Any, rows: Sequence[Any], *, add: bool) -> list[Any]:
    if field.is_relation:
        for row in rows:
            if field.is_cached(row) and getattr(row, field.attname) is None:  # saved since
                related = getattr(row, field.name)
                if related is not None:
                    setattr(row, field.attname, _key_of(field, related))
    if is_automatic(field) or _sets_itself(field):
        return [field.pre_save(row, add) for row in rows]
    return list(map(attrgetter(field.attname), rows))


def _sets_itself(field: Field) -> bool:
    """Say whether a field makes its value when it is saved (a date does only where automatic)."""
    own = type(field).pre_save
    return own not in (
        Field.pre_save,
        DateField.pre_save,
        TimeField.pre_save,
        DateTimeField.pre_save,
    )


def _now(layout: Layout, field: Field) -> Any:
    return field.pre_save(layout.model(), layout.adds)


def keys_of(field: Field, values: Iterable[Any]) -> list[Any]:
    return [_key_of(field, value) if isinstance(value, Model) else value for value in values]


def _key_of(field: Any, related: Model) -> Any:
    key = getattr(related, field.target_field.attname)
    if key is None:
        raise ValueError(f"{field.name}: {related!r} is not saved, so it has no key.")
    return key

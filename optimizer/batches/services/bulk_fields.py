"""Which fields of a model a bulk write reads, fills, finds rows by and sets.

Every refusal is a ValueError that names the field and what is allowed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.core.exceptions import FieldDoesNotExist
from django.db.models import AutoField, DateField, Field, Model, TimeField, UniqueConstraint

Verb = Literal["insert", "upsert", "update", "delete"]
AUTO_FIELDS = AutoField  # also BigAutoField and SmallAutoField, says its metaclass


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a write: first those that the rows give, then those that Django fills.

    `names` are the rows' own words for the given ones. The other numbers are positions in `fields`.
    """

    model: type[Model]
    verb: Verb
    names: tuple[str, ...]
    fields: tuple[Field, ...]
    keys: tuple[int, ...]
    updates: tuple[int, ...]
    touched: tuple[int, ...]
    sequence: int | None
    nulls_distinct: bool

    @property
    def adds(self) -> bool:
        """Whether rows may be inserted, so that Django's defaults are needed."""
        return self.verb in ("insert", "upsert")


def layout_of(
    model: type[Model],
    verb: Verb,
    names: Sequence[str],
    *,
    are_instances: bool,
    unique_fields: Sequence[str] | None = None,
    update_fields: Sequence[str] | None = None,
    sequence_field: str | None = None,
) -> Layout:
    """Return the layout for rows with these names.

    Raises ValueError for a field that is unknown, given twice, has no column of its own, or is not
    given; for a key without a unique constraint (upsert); for a model with a parent's table.
    """
    model = check_model(model)
    given = [field_of(model, name, "the rows") for name in names]
    _refuse_doubles(model, given)
    keys = _keys(model, verb, given, unique_fields)
    sequence = None
    if sequence_field is not None:
        sequence = _given(model, given, sequence_field, "sequence_field")
    if verb in ("insert", "delete"):
        updates: list[Field] = []
    else:
        updates = _updates(model, given, keys, update_fields, sequence, are_instances)
    touched = _touched(model, updates, keys, given, are_instances=are_instances)
    if verb in ("update", "delete"):  # nothing else is needed
        wanted = {*keys, *updates, *(touched if are_instances else ())}
        kept = [number for number, field in enumerate(given) if field in wanted]
        names = [names[number] for number in kept]
        given = [given[number] for number in kept]
    fields = [*given, *_filled(model, verb, given, touched)]
    position = {field: number for number, field in enumerate(fields)}
    return Layout(
        model,
        verb,
        tuple(names),
        tuple(fields),
        tuple(position[field] for field in keys),
        tuple(position[field] for field in updates),
        tuple(position[field] for field in touched if field not in updates),
        None if sequence is None else position[sequence],
        _nulls_distinct(model, keys),
    )


def check_model(model: type[Model]) -> type[Model]:
    """Return the model whose table it is: of a proxy the one behind it.

    Raises ValueError for a model whose rows lie in more than one table, or in none."""
    own = model._meta.concrete_model
    if own is None or model._meta.abstract:
        raise ValueError(f"{model.__name__} is abstract: it has no table.")
    for parent in model._meta.all_parents:
        if parent._meta.concrete_model is not own:
            raise ValueError(
                f"{model.__name__} keeps a part of its rows in the table of {parent.__name__}: "
                "write to a model with one table."
            )
    return own


def stored_fields(model: type[Model]) -> list[Field]:
    """Return the fields that have a column which can be written."""
    return [field for field in model._meta.concrete_fields if not field.generated]


def is_automatic(field: Field) -> bool:
    """Say whether Django sets this date or time itself."""
    return isinstance(field, DateField | TimeField) and (field.auto_now or field.auto_now_add)


def field_of(model: type[Model], name: str, where: str) -> Field:
    allowed = stored_fields(model)
    found: Any
    try:
        found = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        found = next((field for field in allowed if field.attname == name), None)
    if isinstance(found, Field) and found in allowed:
        return found
    what = "no such field" if found is None else "no column that can be written"
    raise ValueError(
        f"{where}: {model.__name__} has {what} {name!r}; allowed are "
        f"{', '.join(sorted({field.name for field in allowed}))}."
    )


def _refuse_doubles(model: type[Model], given: Sequence[Field]) -> None:
    seen = set()
    for field in given:
        if field in seen:
            raise ValueError(f"the rows give {model.__name__}.{field.name} twice.")
        seen.add(field)


def _given(model: type[Model], given: Sequence[Field], name: str, where: str) -> Field:
    field = field_of(model, name, where)
    if field not in given:
        raise ValueError(
            f"{where}: the rows do not give {name!r}; they give "
            f"{', '.join(one.name for one in given) or 'nothing'}."
        )
    return field


def _keys(
    model: type[Model],
    verb: Verb,
    given: Sequence[Field],
    unique_fields: Sequence[str] | None,
) -> list[Field]:
    if not unique_fields:
        if verb == "insert":
            return []
        raise ValueError("unique_fields: name the fields that find a row.")
    if isinstance(unique_fields, str):
        raise ValueError("unique_fields: give a list of names, not one text.")
    names: list[str] = []
    for name in unique_fields:  # `pk` may stand for several
        names += (one.name for one in model._meta.pk_fields) if name == "pk" else [name]
    keys = [_given(model, given, name, "unique_fields") for name in names]
    if verb in ("insert", "upsert") and frozenset(keys) not in _unique_sets(model):
        allowed = [
            "(" + ", ".join(sorted(f.name for f in one)) + ")" for one in _unique_sets(model)
        ]
        found = ", ".join(field.name for field in keys)
        raise ValueError(
            f"unique_fields: no unique constraint of {model.__name__} is on "
            f"({found}); allowed are {', '.join(sorted(allowed))}."
        )
    return keys


def _unique_sets(model: type[Model]) -> set[frozenset[Field]]:
    """Return the sets of fields that an ON CONFLICT may name."""
    options = model._meta
    names: list[Iterable[str]] = [[field.name for field in options.pk_fields]]
    names += ([field.name] for field in options.concrete_fields if field.unique)
    names += options.unique_together
    names += (one.fields for one in _constraints(model))
    return {frozenset(field_of(model, name, "unique") for name in one) for one in names}


def _constraints(model: type[Model]) -> list[UniqueConstraint]:
    return [one for one in model._meta.total_unique_constraints if one.deferrable is None]


def _nulls_distinct(model: type[Model], keys: Sequence[Field]) -> bool:
    names = {field.name for field in keys}
    return not any(
        one.nulls_distinct is False and set(one.fields) == names for one in _constraints(model)
    )


def _updates(
    model: type[Model],
    given: Sequence[Field],
    keys: Sequence[Field],
    update_fields: Sequence[str] | None,
    sequence: Field | None,
    are_instances: bool,
) -> list[Field]:
    primary = model._meta.pk_fields
    if update_fields is None:
        fields = [field for field in given if field not in keys and field not in primary]
        if are_instances:  # what Django sets is not the rows' to change
            fields = [field for field in fields if not is_automatic(field)]
    else:
        fields = [_given(model, given, name, "update_fields") for name in update_fields]
        for field in fields:
            if field in keys or field in primary:
                raise ValueError(
                    f"update_fields: {field.name!r} finds the row, so it cannot be changed."
                )
    if sequence is not None and sequence not in fields:
        if sequence in keys:
            raise ValueError(f"sequence_field: {sequence.name!r} is one of unique_fields.")
        fields.append(sequence)  # else the guard would never move
    return fields


def _touched(
    model: type[Model],
    updates: Sequence[Field],
    keys: Sequence[Field],
    given: Sequence[Field],
    *,
    are_instances: bool,
) -> list[Field]:
    """Return the `auto_now` fields that an update sets by itself."""
    if not updates:
        return []
    return [
        field
        for field in stored_fields(model)
        if getattr(field, "auto_now", False)
        and field not in keys
        and (are_instances or field not in given)
    ]


def _filled(
    model: type[Model],
    verb: Verb,
    given: Sequence[Field],
    touched: Sequence[Field],
) -> list[Field]:
    if verb in ("update", "delete"):
        return [field for field in touched if field not in given]
    return [
        field
        for field in stored_fields(model)
        if field not in given
        and not isinstance(field, AUTO_FIELDS)
        and (field.has_default() or not field.has_db_default())
    ]

"""An index as a line of a model's Meta."""

import json
from dataclasses import dataclass

from django.apps import apps
from django.db import router
from django.db.models import Model

from optimizer.queries.engine.plans import Key


@dataclass(frozen=True, slots=True)
class Meta:
    """The line, and the model whose Meta takes it; both "" where there is none."""

    line: str = ""
    model_label: str = ""


def meta_of(alias: str, table: str, keys: tuple[Key, ...], name: str) -> Meta:
    """Return an index as `models.Index(...)`, with the names of fields for those of columns."""
    model = _model_of(alias, table)
    if model is None:
        return Meta()
    label = model._meta.label
    names = {field.column: field.name for field in model._meta.local_concrete_fields}
    is_ours = model._meta.managed and not model._meta.auto_created
    if not is_ours or any(key.column not in names for key in keys):
        return Meta(model_label=label)
    return Meta(_line([(names[key.column], key) for key in keys], name), label)


def _line(fields: list[tuple[str, Key]], name: str) -> str:
    named = f"name={json.dumps(name)}"
    if any(key.function for _, key in fields):
        # Upper and Lower are of django.db.models.functions.
        parts = [
            f"{key.function.capitalize()}({json.dumps(field)})"
            if key.function
            else json.dumps("-" * key.is_descending + field)
            for field, key in fields
        ]
        return f"models.Index({', '.join(parts)}, {named})"
    listed = ", ".join(json.dumps("-" * key.is_descending + field) for field, key in fields)
    if any(key.operators for _, key in fields):
        named += f", opclasses={json.dumps([key.operators for _, key in fields])}"
    return f"models.Index(fields=[{listed}], {named})"


def _model_of(alias: str, table: str) -> type[Model] | None:
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table == table and not model._meta.proxy:
            return model if router.allow_migrate_model(alias, model) else None
    return None

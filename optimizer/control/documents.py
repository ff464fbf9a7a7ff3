"""A component's settings as one document: what export writes, and import and the API take.

    ratelimit:
      settings: {enabled: true, default_tier: free}
      tier:
        free: {capacity: 20}
        old: null            # deletes the row

A document may be partial: what it does not name stays. It is validated whole, then applied whole.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models, transaction
from django.db.models import ProtectedError

from optimizer.control.fields import SettingField
from optimizer.control.models import Revision, SettingsModel, SettingsRow
from optimizer.control.revisions import change, settings_models
from optimizer.control.rows import Recorder, Rows, as_row

Document = dict[str, dict[str, Any]]
SETTINGS = "settings"


class DocumentError(Exception):
    """A document that cannot be applied: messages by the path of each field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{path}: {' '.join(says)}" for path, says in errors.items()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Change:
    """One field that a document changes."""

    path: str
    before: Any
    after: Any


class _Undo(Exception):
    """Leave a dry run's transaction."""


def component_names() -> list[str]:
    """Return the components that have exported settings."""
    from optimizer.control.live import all_live

    return [live.component for live in all_live() if _sections(live.component)]


def export_document(components: Iterable[str] | None = None) -> Document:
    """Return the stored settings of the named components (default: all)."""
    return {
        name: {section: _export(model) for section, model in _sections(name).items()}
        for name in (component_names() if components is None else components)
    }


def apply_document(
    document: Any,
    *,
    dry_run: bool = False,
    reason: str = "",
    revert_after_seconds: int | None = None,
    unless_confirmed: bool = False,
) -> list[Change]:
    """Apply a document whole or not at all; return what it changes.

    Each component gets one revision, which may end by itself (see `change`). With `dry_run` nothing
    is kept. Raises DocumentError with
    every error found, by field.
    """
    errors: dict[str, list[str]] = {}
    changes: list[Change] = []
    if not isinstance(document, dict):
        raise DocumentError({"document": ["Must be a mapping of component names to settings."]})
    known = component_names()
    try:
        with transaction.atomic(), ExitStack() as stack:
            for name, sections in document.items():
                if name not in known:
                    errors[str(name)] = [f"No such component. Known: {', '.join(known)}."]
                    continue
                recorder = stack.enter_context(
                    change(
                        name,
                        reason=reason,
                        revert_after_seconds=revert_after_seconds,
                        unless_confirmed=unless_confirmed,
                    )
                )
                _apply_component(name, sections, errors)
                changes += _changes(name, recorder)
            if errors:
                raise DocumentError(errors)
            if dry_run:
                raise _Undo
    except _Undo:
        pass
    return changes


def exported_rows(rows: Rows) -> Rows:
    """Return the rows of a revision without those that stay inside, such as API keys."""
    return {label: found for label, found in rows.items() if _is_exported(label)}


def touches_hidden_rows(revision: Revision) -> bool:
    """Say whether a revision changed rows that stay inside."""
    return not all(_is_exported(label) for label in {**revision.before, **revision.after})


def _is_exported(label: str) -> bool:
    try:
        return bool(getattr(apps.get_model(label), "exported", False))
    except LookupError:
        return False


def _sections(component: str) -> dict[str, Any]:
    """Return the exported models of a component by the name of their section."""
    return {
        SETTINGS if issubclass(model, SettingsModel) else model._meta.model_name: model
        for model in settings_models(component)
        if model.exported
    }


def _fields(model: Any) -> dict[str, models.Field]:
    return {
        field.name: field
        for field in model._meta.fields
        if field.editable and not field.primary_key and field.name not in model.unrecorded
    }


def _export(model: Any) -> dict[str, Any]:
    if issubclass(model, SettingsModel):
        return _export_row(model.load())
    rows = model._default_manager.select_related().order_by(model.key_field)
    return {str(getattr(row, row.key_field)): _export_row(row) for row in rows}


def _export_row(row: Any) -> dict[str, Any]:
    values = as_row(row)
    exported = {}
    for name, field in _fields(row).items():
        if isinstance(row, SettingsRow) and name == row.key_field:
            continue
        # A reference reads by the name of what it points to: primary keys differ between places.
        related = getattr(row, name) if isinstance(field, models.ForeignKey) else None
        exported[name] = (
            getattr(related, related.key_field)
            if isinstance(related, SettingsRow)
            else values[name]
        )
    return exported


def _apply_component(name: str, sections: Any, errors: dict[str, list[str]]) -> None:
    models_by_section = _sections(name)
    if not isinstance(sections, dict):
        errors[name] = ["Must be a mapping of sections to settings."]
        return
    for section in sections:
        if section not in models_by_section:
            allowed = ", ".join(models_by_section)
            errors[f"{name}.{section}"] = [f"No such section. Known: {allowed}."]
    deletions: list[tuple[str, Any]] = []
    for section, model in models_by_section.items():
        if section not in sections:
            continue
        given, path = sections[section], f"{name}.{section}"
        if not isinstance(given, dict):
            errors[path] = ["Must be a mapping."]
        elif issubclass(model, SettingsModel):
            _apply_row(model.load(), given, path, errors)
        else:
            for key, values in given.items():
                row = model._default_manager.filter(**{model.key_field: str(key)}).first()
                if values is None and row is not None:
                    deletions.append((f"{path}.{key}", row))
                elif values is not None:
                    row = row or model(**{model.key_field: str(key)})
                    _apply_row(row, values, f"{path}.{key}", errors, key=str(key))
    # Last, and the newest model first: rows that the document moves away no longer point to them.
    for path, row in reversed(deletions):
        try:
            row.delete()
        except ProtectedError:
            errors[path] = ["Is still used and cannot be deleted."]


def _apply_row(
    row: Any, values: Any, path: str, errors: dict[str, list[str]], key: str | None = None
) -> None:
    if not isinstance(values, dict):
        errors[path] = ["Must be a mapping of fields to values."]
        return
    fields = _fields(row)
    failed = False
    for name, value in values.items():
        if key is not None and name == row.key_field and str(value) != key:
            says = f"Differs from the row's key, {key!r}: give a new row its own entry."
        else:
            says = _set(row, fields, str(name), value)
        if says:
            errors[f"{path}.{name}"] = [says]
            failed = True
    if failed:
        return
    try:
        row.full_clean()
    except ValidationError as error:
        for name, messages in error.message_dict.items():
            errors[path if name == "__all__" else f"{path}.{name}"] = messages
    else:
        row.save()


def _set(row: Any, fields: dict[str, Any], name: str, value: Any) -> str:
    """Set one field; return what is wrong with it, or ""."""
    field = fields.get(name)
    if field is None:
        return f"No such field. Known: {', '.join(fields)}."
    if value is None and field.null:
        setattr(row, name, None)
        return ""
    if isinstance(field, models.ForeignKey) and issubclass(field.related_model, SettingsRow):
        target = field.related_model._default_manager.filter(
            **{field.related_model.key_field: str(value)}
        ).first()
        if target is None:
            return f"There is no {field.related_model._meta.verbose_name} {value!r}."
        setattr(row, name, target)
        return ""
    if isinstance(field, models.BooleanField) != isinstance(value, bool):
        return "Must be true or false." if isinstance(field, models.BooleanField) else _says(field)
    try:
        setattr(row, name, field.to_python(value))
    except ValidationError:
        return _says(field)
    except (TypeError, ValueError):
        return _says(field)
    return ""


def _says(field: models.Field) -> str:
    if isinstance(field, SettingField) and field.range_text:
        return f"Must be {field.range_text}."
    return f"Must be a {field.get_internal_type().removesuffix('Field').lower()}."


def _changes(component: str, recorder: Recorder) -> list[Change]:
    before, after = recorder.differences()
    found = []
    for label in {**before, **after}:
        for pk in {**before.get(label, {}), **after.get(label, {})}:
            was, became = before.get(label, {}).get(pk), after.get(label, {}).get(pk)
            path = f"{component}.{label.split('.')[1]}.{_key(label, became or was or {}, pk)}"
            for name in {**(was or {}), **(became or {})}:
                old, new = (was or {}).get(name), (became or {}).get(name)
                if old != new:
                    found.append(Change(f"{path}.{name}", old, new))
    return found


def _key(label: str, row: dict[str, Any], pk: str) -> str:
    try:
        key_field = getattr(apps.get_model(label), "key_field", "")
        apps.get_model(label)._meta.get_field(key_field)
    except (LookupError, FieldDoesNotExist):
        return pk
    return str(row.get(key_field, pk))

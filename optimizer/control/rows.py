"""Catch every write to a settings row, whatever its door, into the revision being made.

`save` and `delete` open a revision where none is open; signals note each row before and after, so
that cascades and fixtures are seen too; bulk operations, which send no signals, are noted by
`RecordedQuerySet`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.core import serializers
from django.db import DEFAULT_DB_ALIAS, models
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

Row = dict[str, Any]
Rows = dict[str, dict[str, Row]]  # model label -> primary key -> fields


@dataclass(slots=True)
class Recorder:
    """The rows that one revision touches, as they were and as they are."""

    before: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    after: dict[tuple[str, str], Row | None] = field(default_factory=dict)
    revision: Any = None  # the Revision written at the end, None where nothing changed

    def note_before(self, model: type[models.Model], pk: Any, row: Row | None) -> None:
        self.before.setdefault((model._meta.label_lower, str(pk)), row)

    def note_after(self, model: type[models.Model], pk: Any, row: Row | None) -> None:
        key = (model._meta.label_lower, str(pk))
        self.before.setdefault(key, None)
        self.after[key] = row

    def differences(self) -> tuple[Rows, Rows]:
        """Return the rows before and after, without those that end as they began."""
        before: Rows = {}
        after: Rows = {}
        for key, row in self.after.items():
            was = self.before.get(key)
            if was == row:
                continue
            label, pk = key
            if was is not None:
                before.setdefault(label, {})[pk] = was
            if row is not None:
                after.setdefault(label, {})[pk] = row
        return before, after


# One recorder a component: a fixture or an import may touch several at once.
open_recorders: ContextVar[dict[str, Recorder]] = ContextVar("open_recorders")


def recorder_of(model: type[models.Model]) -> Recorder | None:
    """Return the recorder of the revision being made for this model's component."""
    component = getattr(model, "component", None)
    return open_recorders.get({}).get(component) if component else None


@contextmanager
def recorded(model: Any, using: str | None = None) -> Iterator[Recorder]:
    """Make sure a revision is being made for the model's component."""
    recorder = recorder_of(model)
    if recorder is not None:
        yield recorder
        return
    from optimizer.control.revisions import change  # it imports the models, which import this

    with change(model.component, using=using or DEFAULT_DB_ALIAS) as fresh:
        yield fresh


def as_row(instance: models.Model) -> Row:
    """Return the instance's settings as JSON-able values."""
    skipped: frozenset[str] = getattr(instance, "unrecorded", frozenset())
    fields = serializers.serialize("python", [instance])[0]["fields"]
    return {name: _jsonable(value) for name, value in fields.items() if name not in skipped}


def _jsonable(value: Any) -> Any:
    if isinstance(value, (type(None), bool, int, float, str, list, dict)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class RecordedQuerySet(models.QuerySet[Any]):
    """A queryset whose bulk writes are recorded like single ones."""

    def update(self, **kwargs: Any) -> int:
        if set(kwargs) <= self.model.unrecorded:
            return super().update(**kwargs)
        with recorded(self.model, self.db) as recorder:
            rows = list(self.model._base_manager.using(self.db).filter(pk__in=self.values("pk")))
            for row in rows:
                recorder.note_before(self.model, row.pk, as_row(row))
            count = super().update(**kwargs)
            self._note_after(recorder, [row.pk for row in rows])
            return count

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        with recorded(self.model, self.db):
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        objs = list(objs)
        if kwargs.get("update_conflicts"):
            raise TypeError("Settings rows are upserted one by one, so that each is recorded.")
        with recorded(self.model, self.db) as recorder:
            given = [obj.pk for obj in objs if obj.pk is not None]
            for row in self.model._base_manager.using(self.db).filter(pk__in=given):
                recorder.note_before(self.model, row.pk, as_row(row))
            created = super().bulk_create(objs, *args, **kwargs)
            self._note_after(recorder, [obj.pk for obj in created if obj.pk is not None])
            return created

    def _note_after(self, recorder: Recorder, pks: list[Any]) -> None:
        for row in self.model._base_manager.using(self.db).filter(pk__in=pks):
            recorder.note_after(self.model, row.pk, as_row(row))


def _stored(sender: type[models.Model], pk: Any, using: str | None) -> models.Model | None:
    manager = sender._base_manager.using(using)
    return manager.filter(pk=pk).first() if pk is not None else None


def _before_save(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    recorder = recorder_of(sender)
    if recorder is not None:
        stored = _stored(sender, instance.pk, using)
        if instance.pk is not None:
            recorder.note_before(sender, instance.pk, as_row(stored) if stored else None)


def _after_save(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    recorder = recorder_of(sender)
    if recorder is not None:
        # Read back: the instance may hold expressions, or values of another type than the column's.
        stored = _stored(sender, instance.pk, using)
        recorder.note_after(sender, instance.pk, as_row(stored) if stored else None)


def _before_delete(sender: type[models.Model], instance: models.Model, **kwargs: Any) -> None:
    _before_save(sender, instance, **kwargs)


def _after_delete(sender: type[models.Model], instance: models.Model, **_: Any) -> None:
    recorder = recorder_of(sender)
    if recorder is not None:
        recorder.note_after(sender, instance.pk, None)


def connect_signals() -> None:
    """Listen to every model's writes; models without a component pass through."""
    for signal, handler in (
        (pre_save, _before_save),
        (post_save, _after_save),
        (pre_delete, _before_delete),
        (post_delete, _after_delete),
    ):
        signal.connect(handler, dispatch_uid=f"control.{handler.__name__}")

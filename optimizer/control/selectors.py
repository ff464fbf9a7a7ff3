"""Read revisions and processes for people."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone

from optimizer.control import live, processes
from optimizer.control.fields import SettingField
from optimizer.control.models import Head, PendingRevert, Recorded, Revision
from optimizer.control.redis import RedisAway
from optimizer.control.snapshot import control
from optimizer.control.units import format_amount

_HIDDEN = frozenset({"digest"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that a revision changed, in words."""

    row: str
    field: str
    before: str
    after: str
    kind: str = "changed"  # or "added", "removed": of the whole row

    def __str__(self) -> str:
        if self.kind != "changed":
            return f"{self.row} {self.kind}"
        return f"{self.field} of {self.row}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Propagation:
    """How far a revision has come."""

    revision: Revision
    processes: list[processes.Process]
    redis_away: bool
    poll_interval_seconds: float
    pending: PendingRevert | None
    seconds_left: int

    @property
    def settled(self) -> bool:
        """Whether every process that is seen obeys."""
        seen = [one for one in self.processes if one.state != "NOT SEEN"]
        return bool(seen) and all(one.state == "SYNCED" for one in seen)

    @property
    def percent(self) -> int:
        synced = sum(one.state == "SYNCED" for one in self.processes)
        return round(100 * synced / len(self.processes)) if self.processes else 0


def head_revision() -> int:
    """Return the number of the newest revision."""
    return Head.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def revisions_of(row: Recorded) -> QuerySet[Revision]:
    """Return the revisions that touched a row, newest first."""
    label, pk = row._meta.label_lower, str(row.pk)
    touched = Q(**{f"after__{label}__has_key": pk}) | Q(**{f"before__{label}__has_key": pk})
    return Revision.objects.filter(touched, component=row.component)


def differences(revision: Revision) -> list[Difference]:
    """Return what a revision changed, field by field."""
    found = []
    for label in _in_order(revision):
        model = _model(label)
        before, after = revision.before.get(label, {}), revision.after.get(label, {})
        for pk in sorted({**before, **after}, key=lambda pk: (len(pk), pk)):
            was, became = before.get(pk), after.get(pk)
            name = _row_name(model, label, pk, became or was or {})
            kind = "added" if was is None else "removed" if became is None else "changed"
            for field in _fields_in_order(model, {**(was or {}), **(became or {})}):
                old, new = (was or {}).get(field), (became or {}).get(field)
                if old != new and field not in _HIDDEN:
                    setting = _field(model, field)
                    found.append(
                        Difference(
                            name,
                            str(setting.verbose_name) if setting is not None else field,
                            "—" if was is None else shown(setting, old),
                            "—" if became is None else shown(setting, new),
                            kind,
                        )
                    )
    return found


def in_words(revision: Revision, *, most: int = 3) -> str:
    """Return a short sentence of what a revision changed."""
    # A row that was added or removed is one part, however many fields it has.
    parts = list(dict.fromkeys(str(one) for one in differences(revision)))
    rest = len(parts) - most
    return "; ".join(parts[:most]) + (f"; and {rest} more" if rest > 0 else "")


def shown(field: models.Field | None, value: Any) -> str:
    """Return a stored value as people read it."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(field, SettingField) and isinstance(value, int | float):
        return format_amount(value, field.unit)
    if isinstance(field, models.ForeignKey):
        row = field.related_model._default_manager.filter(pk=value).first()
        return str(row) if row is not None else f"#{value} (deleted)"
    if field is not None and field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def propagation(number: int) -> Propagation:
    """Return how far revision `number` has come. Raises Revision.DoesNotExist."""
    revision = Revision.objects.get(pk=number)
    pending = PendingRevert.objects.filter(pk=number).first()
    try:
        seen, away = processes.seen(number), False
    except RedisAway:
        seen, away = [], True
    left = (pending.due_at - timezone.now()).total_seconds() if pending else 0
    return Propagation(
        revision=revision,
        processes=seen,
        redis_away=away,
        poll_interval_seconds=control.current().poll_interval_seconds,
        pending=pending,
        seconds_left=max(0, round(left)),
    )


def settings_errors() -> dict[str, str]:
    """Return the components whose settings this process could not read, with the reason."""
    return {one.component: one.error for one in live.all_live() if one.error}


def _in_order(revision: Revision) -> list[str]:
    """Return the labels of a revision's models as they are declared; PostgreSQL reorders JSON."""
    labels = {**revision.before, **revision.after}
    declared = [model._meta.label_lower for model in apps.get_models()]
    return sorted(labels, key=lambda one: declared.index(one) if one in declared else len(declared))


def _fields_in_order(model: Any, row: dict[str, Any]) -> list[str]:
    declared = [field.name for field in model._meta.fields] if model is not None else []
    return sorted(row, key=lambda one: declared.index(one) if one in declared else len(declared))


def _model(label: str) -> Any:
    try:
        return apps.get_model(label)
    except LookupError:
        return None


def _field(model: Any, name: str) -> models.Field | None:
    fields = model._meta.fields if model is not None else ()
    return next((one for one in fields if one.name == name), None)


def _row_name(model: Any, label: str, pk: str, row: dict[str, Any]) -> str:
    if model is None:
        return f"{label} {pk}"
    key = row.get(getattr(model, "key_field", ""), "")
    return f"{model._meta.verbose_name} {key}".strip()

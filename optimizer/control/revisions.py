"""Write, revert, confirm and expire revisions of the settings."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal

from django.apps import apps
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from optimizer.control import live, processes
from optimizer.control.models import Head, PendingRevert, Revision
from optimizer.control.origin import current_origin, origin
from optimizer.control.rows import Recorder, Row, as_row, open_recorders

OnConflict = Literal["refuse", "force", "keep"]
MAX_REVERT_AFTER_SECONDS = 30 * 86_400
logger = logging.getLogger(__name__)


class RevertRefused(Exception):
    """A revert would undo more than the revision: `conflicts` says what changed since."""

    def __init__(self, conflicts: list[str]) -> None:
        super().__init__("; ".join(conflicts))
        self.conflicts = conflicts


@contextmanager
def change(
    component: str,
    *,
    reason: str = "",
    revert_after_seconds: int | None = None,
    unless_confirmed: bool = False,
    reverts: Revision | None = None,
    using: str = DEFAULT_DB_ALIAS,
) -> Iterator[Recorder]:
    """Make one revision of all settings rows that the enclosed work writes.

    With `revert_after_seconds` (1 to 2592000) the change ends by itself after that time, with
    `unless_confirmed` only when nobody called `confirm`. Inside another `change` of the component
    it joins that one. All is one transaction; processes are told when it commits.
    """
    recorders = open_recorders.get({})
    if component in recorders:
        yield recorders[component]
        return
    allowed = range(1, MAX_REVERT_AFTER_SECONDS + 1)
    if revert_after_seconds is not None and revert_after_seconds not in allowed:
        raise ValidationError(
            {"revert_after_seconds": f"Must be between 1 and {MAX_REVERT_AFTER_SECONDS} seconds."}
        )
    with transaction.atomic(using=using):
        # Locked first, so that what is read as "before" stays so until the commit.
        head, _ = Head.objects.using(using).select_for_update().get_or_create(pk=1)
        recorder = Recorder()
        token = open_recorders.set({**recorders, component: recorder})
        try:
            yield recorder
        finally:
            open_recorders.reset(token)
        before, after = recorder.differences()
        if before == after:
            return
        recorder.revision = _write(component, before, after, reason, reverts, using)
        if revert_after_seconds is not None:
            PendingRevert.objects.using(using).create(
                revision=recorder.revision,
                due_at=timezone.now() + timedelta(seconds=revert_after_seconds),
                unless_confirmed=unless_confirmed,
            )


def _write(
    component: str, before: Any, after: Any, reason: str, reverts: Revision | None, using: str
) -> Revision:
    # Read again: a change of another component inside this one has taken a number too.
    head = Head.objects.using(using).get(pk=1)
    head.revision += 1
    head.save(using=using)
    where = current_origin()
    revision = Revision(
        number=head.revision,
        component=component,
        before=before,
        after=after,
        actor=where.actor[:150],
        channel=where.channel,
        request_id=where.request_id,
        reason=reason[:300],
        reverts=reverts,
    )
    revision.save(using=using)
    transaction.on_commit(lambda: _committed(revision.number), using=using)
    return revision


def _committed(number: int) -> None:
    # The process that made the change obeys at once; the others are told, and poll besides.
    live.try_to_catch_up()
    processes.announce(number)


def revert(
    number: int, *, on_conflict: OnConflict = "refuse", reason: str = "", force: bool = False
) -> Revision | None:
    """Put the rows that revision `number` changed back as they were, as a new revision.

    Fields that were changed again since are a conflict: "refuse" raises RevertRefused, "force"
    overwrites them, "keep" leaves them. Returns the new revision, None when nothing differed.
    Raises Revision.DoesNotExist, or ValidationError when the old values are no longer allowed.
    """
    revision = Revision.objects.get(pk=number)
    on_conflict = "force" if force else on_conflict
    with change(
        revision.component, reason=reason or f"Revert of #{number}", reverts=revision
    ) as recorder:
        steps, conflicts = plan_revert(revision, on_conflict)
        if conflicts and on_conflict == "refuse":
            raise RevertRefused(conflicts)
        for instance, deletes in steps:
            if deletes:
                try:
                    instance.delete()
                except ProtectedError as error:
                    raise RevertRefused([f"{instance} is still used"]) from error
            else:
                instance.full_clean()
                instance.save()
        PendingRevert.objects.filter(pk=number).delete()
    written: Revision | None = recorder.revision
    return written


def plan_revert(
    revision: Revision, on_conflict: OnConflict
) -> tuple[list[tuple[models.Model, bool]], list[str]]:
    """Return the rows to save or delete, in an order that keeps references whole."""
    saves: list[models.Model] = []
    deletes: list[models.Model] = []
    conflicts: list[str] = []
    for model in settings_models(revision.component):
        label = model._meta.label_lower
        before, after = revision.before.get(label, {}), revision.after.get(label, {})
        stored = {str(row.pk): row for row in model._base_manager.filter(pk__in={*before, *after})}
        for pk in {**before, **after}:
            was, became, row = before.get(pk), after.get(pk), stored.get(pk)
            if was is not None and became is not None and row is not None:
                changed, clashes = _restore(row, was, became, on_conflict)
                conflicts += clashes
                if changed:
                    saves.append(row)
            elif was is not None and became is None and row is None:
                saves.append(_rebuilt(model, pk, was))
            elif was is None and became is not None and row is not None:
                if as_row(row) != became:
                    conflicts.append(f"{row} was changed since")
                if as_row(row) == became or on_conflict == "force":
                    deletes.append(row)
            elif row is None and was is not None:
                conflicts.append(f"{model._meta.verbose_name} {pk} was deleted since")
                if on_conflict == "force":
                    saves.append(_rebuilt(model, pk, was))
            elif row is not None:
                conflicts.append(f"{row} was created again since")
    return [(row, False) for row in saves] + [(row, True) for row in reversed(deletes)], conflicts


def _restore(
    row: models.Model, was: Row, became: Row, on_conflict: OnConflict
) -> tuple[bool, list[str]]:
    """Set the fields that the revision changed back on `row`."""
    now, changed, conflicts = as_row(row), False, []
    for name, old in was.items():
        if old == became.get(name) or name not in now or now[name] == old:
            continue
        if now[name] != became.get(name):
            conflicts.append(f"{name} of {row} was changed since, to {now[name]}")
            if on_conflict != "force":
                continue
        field: models.Field = next(one for one in row._meta.fields if one.name == name)
        setattr(row, field.attname, field.to_python(old))
        changed = True
    return changed, conflicts


def _rebuilt(model: type[models.Model], pk: str, row: Row) -> models.Model:
    fields = {name: value for name, value in row.items() if _has_field(model, name)}
    data = [{"model": model._meta.label_lower, "pk": pk, "fields": fields}]
    return next(iter(serializers.deserialize("python", data))).object


def _has_field(model: type[models.Model], name: str) -> bool:
    return any(field.name == name for field in model._meta.fields)


def settings_models(component: str) -> list[Any]:
    """Return a component's settings models, in the order in which they are declared."""
    return [model for model in apps.get_models() if getattr(model, "component", None) == component]


def confirm(number: int) -> bool:
    """Keep a change that would have reverted itself; False when there was nothing to confirm."""
    deleted, _ = PendingRevert.objects.filter(pk=number).delete()
    if deleted:
        logger.info("Revision %s confirmed by %s", number, current_origin().actor)
    return bool(deleted)


def revert_due() -> list[int]:
    """Revert the changes whose time is over; of several processes, one does each."""
    done = []
    due = PendingRevert.objects.filter(due_at__lte=timezone.now(), failure="")
    for number in list(due.values_list("pk", flat=True)):
        with origin(channel="expiry", actor=""):
            try:
                with transaction.atomic():
                    Head.objects.select_for_update().get_or_create(pk=1)
                    if not due.filter(pk=number).exists():
                        continue
                    revert(number, on_conflict="keep", reason=f"End of #{number}")
                    PendingRevert.objects.filter(pk=number).delete()
                done.append(number)
            except (ValidationError, RevertRefused) as error:
                message = "; ".join(getattr(error, "messages", [])) or str(error)
                PendingRevert.objects.filter(pk=number).update(failure=message[:300])
                logger.error("Revision %s cannot be reverted: %s", number, message)
    return done

"""Whether a job fits the project: its model, fields, functions and tasks, as this process has them.

`Job.clean` says what holds for the row alone; what is said here may be another thing elsewhere.
"""

import copy
import re
from typing import Any

import msgspec
from celery import current_app
from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import models

from optimizer.batches.engine.settings import Job as LiveJob
from optimizer.batches.live import live_job
from optimizer.batches.models import Job
from optimizer.batches.services.bulk_fields import layout_of
from optimizer.batches.services.errors import Misconfigured
from optimizer.batches.services.functions import sources
from optimizer.batches.services.mapping import Mapping, mapping_of
from optimizer.batches.services.sinks import sink_of
from optimizer.control import outgoing
from optimizer.control.models import Recorded

# A worker may know what this process does not: these may be saved all the same.
MAY_BE_ELSEWHERE = frozenset({"handler", "source", "callback_task"})
_TASK = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_OWN = ("optimizer", "caching", "ratelimit")
_NO_SEQUENCE = (models.BooleanField, models.JSONField, models.BinaryField)


def problems(job: Job) -> dict[str, str]:
    """Return what does not fit the project, by the field of the job; nothing where all does."""
    found: dict[str, str] = {}
    try:
        live = _live(job)
    except (msgspec.ValidationError, TypeError):
        return found  # `clean` says what it is
    for check in (_names, _sink, _source, _task, _callback_url):
        for field, says in check(live).items():
            found.setdefault(field, says)
    return found


def _live(job: Job) -> LiveJob:
    row = copy.copy(job)
    row.id = job.pk or 0
    return live_job(row)


def _names(job: LiveJob) -> dict[str, str]:
    for name in [*job.fields, *(one for one in job.fields.values() if one)]:
        if "\0" in name or name.encode("utf-8", "replace").decode() != name:
            return {"fields": "A name holds a character that no database stores."}
    if job.sink == "mongodb" and (
        job.collection.startswith("system.") or "$" in job.collection or ".." in job.collection
    ):
        return {"collection": "MongoDB has no collection of such a name."}
    return {}


def _sink(job: LiveJob) -> dict[str, str]:
    lacks = {"model": job.model, "handler": job.handler}.get(job.sink, "-") == ""
    if lacks or (job.sink == "model" and job.action != "insert" and not job.keys):
        return {}  # `clean` says so
    try:
        if job.sink == "model":
            found = _model(job, mapping_of(job))
            if found:
                return found
        sink_of(job)
    except Misconfigured as error:
        field, _, says = str(error).partition(": ")
        return {field: f"{says[:1].upper()}{says[1:]}."} if says else {"sink": field}
    return {}


def _model(job: LiveJob, mapping: Mapping) -> dict[str, str]:
    """Return what the bulk writer would refuse of each chunk."""
    model = mapping.model
    if issubclass(model, Recorded) or model.__module__.split(".")[0] in _OWN:
        return {"model": "Belongs to Tuneup itself, which no item may change."}
    guarded = bool(job.sequence_field) and job.action in ("upsert", "update")
    if guarded and isinstance(model._meta.get_field(job.sequence_field), _NO_SEQUENCE):
        return {"sequence_field": "Must be a field whose values have an order."}
    names = list(dict.fromkeys([*job.keys, *([job.sequence_field] if guarded else ())]))
    try:
        layout_of(
            model,
            job.action,  # type: ignore[arg-type]
            names or [model._meta.concrete_fields[-1].name],
            are_instances=False,
            unique_fields=job.keys if job.action != "insert" else None,
            sequence_field=job.sequence_field if guarded else None,
        )
    except (ValueError, ObjectDoesNotExist) as error:
        where, _, says = str(error).partition(": ")
        named = {"unique_fields": "key_fields", "sequence_field": "sequence_field"}.get(where)
        return {named: f"{says[:1].upper()}{says[1:]}"} if named else {"model": str(error)}
    return {}


def _source(job: LiveJob) -> dict[str, str]:
    known = sources()
    if not job.source or job.source in known:
        return {}
    names = ", ".join(sorted(known)) or "none is"
    return {"source": f"{job.source!r} is not registered ({names})."}


def _task(job: LiveJob) -> dict[str, str]:
    name = job.callback_task
    if not name:
        return {}
    if name.startswith("batches."):
        return {"callback_task": "Is a task of the batch processor itself, which takes no message."}
    current_app.loader.import_default_modules()
    if name in current_app.tasks or _TASK.fullmatch(name):
        return {}
    return {"callback_task": "Must be the name of a task, such as shop.tasks.told."}


def _callback_url(job: LiveJob) -> dict[str, str]:
    says = outgoing.why_not(job.callback_url) if job.callback_url else ""
    return {"callback_url": f"Nothing can be sent there: {says}."} if says else {}


def may_write(user: Any, job: Job) -> bool:
    """Say whether a person may themselves do to the job's model what the job does."""
    if job.sink != "model":
        return True
    try:
        model = apps.get_model(job.model)
    except (LookupError, ValueError):
        return True  # `problems` says so
    actions = {"insert": ("add",), "upsert": ("add", "change"), "update": ("change",)}
    label, name = model._meta.app_label, model._meta.model_name
    wanted = actions.get(job.action, ("delete",))
    return all(user.has_perm(f"{label}.{one}_{name}") for one in wanted)

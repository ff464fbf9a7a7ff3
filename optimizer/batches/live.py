"""The batch processor's live settings: rows -> what workers and senders obey."""

import msgspec
from django.db.models import Max

from optimizer.batches.engine.settings import Job as LiveJob
from optimizer.batches.engine.settings import Settings
from optimizer.batches.models import BatchesSettings, Job
from optimizer.control.live import LiveSettings
from optimizer.control.models import Revision

_SHARED = tuple(name for name in Settings.__struct_fields__ if name != "jobs")
_OWN = tuple(name for name in LiveJob.__struct_fields__ if name != "version")


def load() -> Settings:
    """Read the rows."""
    row = BatchesSettings.load()
    newest = Revision.objects.filter(component="batches").aggregate(number=Max("number"))
    version = newest["number"] or 0
    return Settings(
        **{name: getattr(row, name) for name in _SHARED},
        jobs={one.name: live_job(one, version) for one in Job.objects.all()},
    )


def live_job(row: Job, version: int = 0) -> LiveJob:
    """Return a job's row as the engine takes it."""
    return msgspec.convert(
        {**{name: getattr(row, name) for name in _OWN}, "version": version}, LiveJob, strict=False
    )


batches: LiveSettings[Settings] = LiveSettings("batches", load=load, default=Settings())

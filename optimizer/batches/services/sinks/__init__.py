"""Where items go: a Django model, a Python function, MongoDB, an HTTP address."""

from django.utils.module_loading import import_string

from optimizer.batches.engine.settings import Job
from optimizer.batches.services.sinks.base import Sink

# Imported when a job asks for one: not every project has MongoDB's driver loaded.
_PLACE = "optimizer.batches.services.sinks."
_KINDS = {
    "model": f"{_PLACE}model.ModelSink",
    "handler": f"{_PLACE}handler.HandlerSink",
    "mongodb": f"{_PLACE}mongodb.MongoSink",
    "http": f"{_PLACE}http.HttpSink",
}
_made: dict[int, tuple[Job, Sink]] = {}


def sink_of(job: Job) -> Sink:
    """Return where a job's items go, the same object until its settings change.

    Raises Misconfigured where they do not fit the project.
    """
    known = _made.get(job.id)
    if known is not None and known[0] is job:
        return known[1]
    sink: Sink = import_string(_KINDS[job.sink])(job)
    _made[job.id] = (job, sink)
    return sink


__all__ = ["Sink", "sink_of"]

"""How much faster bulk is than one by one, measured with the job's own items.

Some items of a chunk are written one by one first, as Django code would, and rolled back; then the
chunk is written as ever. The commits that single writes would also pay for are not counted, so the
figure is on the low side. They send the signals that `save` sends, so it is done only when asked.
"""

import time
from collections.abc import Sequence

from django.db import transaction

from optimizer.batches.models import JobState
from optimizer.batches.services.errors import DATA_ERRORS
from optimizer.batches.services.sinks import Sink
from optimizer.batches.services.sinks.base import Row
from optimizer.batches.services.sinks.model import ModelSink

LEAST_ITEMS = 20
MOST_ITEMS = 50


def ask_for(job_id: int) -> None:
    """Have a job measured with its next chunk of twenty items or more."""
    JobState.objects.get_or_create(job_id=job_id)
    JobState.objects.filter(job_id=job_id).update(wants_calibration=True)


def one_by_one(sink: Sink, rows: Sequence[Row]) -> float | None:
    """Return the seconds that an item takes when it is written alone; None where that is not known.

    Only for models: what a function does beside the database cannot be rolled back.
    """
    if not isinstance(sink, ModelSink) or len(rows) < LEAST_ITEMS:
        return None
    few = rows[:MOST_ITEMS]
    try:
        with transaction.atomic():
            started = time.perf_counter()
            for row in few:
                sink.write_one(row)
            took = time.perf_counter() - started
            transaction.set_rollback(True)
    except DATA_ERRORS:
        return None  # a poison item is among them; another chunk will do
    return took / len(few)

"""The first rows of the batch processor."""

from optimizer.batches.models import Job
from optimizer.control.revisions import change


def seed() -> None:
    """Write an example job where there are no jobs yet: it logs what it gets, and does no harm."""
    if Job.objects.exists():
        return
    with change("batches", reason="First job"):
        job = Job(name="example", sink="handler", handler="example")
        job.full_clean()
        job.save()

"""Jobs for tests, and a worker's turn with one."""

from typing import Any

from optimizer.batches.models import Item, Job, JobState
from optimizer.batches.services import draining, fullness
from optimizer.control import live


def make(name: str = "products", **values: Any) -> Job:
    """Save a job; what waits is due at once, unless the values say otherwise."""
    given: dict[str, Any] = {"flush_seconds": 0.0, "backoff_seconds": 0.01, "adaptive": False}
    if "sink" not in values and "handler" not in values:
        given |= {"model": "library.Product", "key_fields": "sku"}
    elif "handler" in values:
        given["sink"] = "handler"
    given |= values
    job = Job.objects.filter(name=name).first() or Job(name=name)
    for field, value in given.items():
        setattr(job, field, value)
    job.full_clean()
    job.save()
    fullness.forget()
    live.try_to_catch_up()
    return job


def work(name: str = "products", **given: Any) -> draining.Drained:
    """Have a worker's turn with a job."""
    return draining.drain(name, **given)


def left(job: Job) -> int:
    return Item.objects.filter(job=job).count()


def state(job: Job) -> JobState:
    return JobState.objects.get(job=job)

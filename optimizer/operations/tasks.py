"""What Celery's workers do for operations."""

from celery import shared_task

from optimizer.control.redis import call
from optimizer.operations import verification
from optimizer.operations.services import index_runs, notices, reviews, samples, watching

_ECHO_EXPIRY_SECONDS = 60


@shared_task(name="operations.echo")
def echo(key: str) -> None:
    """Leave a mark, so that who sent the task knows it was done."""
    call(lambda r: r.set(key, 1, ex=_ECHO_EXPIRY_SECONDS))


@shared_task(name="operations.verify", acks_late=False)
def verify(run: str, actor: str) -> None:
    """Run all self-checks for the page that asked for it."""
    verification.run(run, actor)


@shared_task(name="operations.watch")
def watch() -> int:
    """Keep this minute's figures, look at the alert rules, tell what is to be told."""
    return watching.watch()


@shared_task(name="operations.forget")
def forget() -> int:
    """Delete figures, alerts and reviews that are older than an admin wants them kept."""
    return samples.forget() + notices.forget() + reviews.forget()


@shared_task(name="operations.review")
def review() -> bool:
    """Make the performance review that is due, if one is; say whether."""
    return reviews.make_if_due() is not None


@shared_task(name=index_runs.TASK)
def make_indexes() -> str:
    """Make the document indexes that are missing or different; return how it ended."""
    return index_runs.work().state

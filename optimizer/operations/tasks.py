"""What Celery's workers do for operations."""

from celery import shared_task

from optimizer.control.redis import call
from optimizer.operations import verification

_ECHO_EXPIRY_SECONDS = 60


@shared_task(name="operations.echo")
def echo(key: str) -> None:
    """Leave a mark, so that who sent the task knows it was done."""
    call(lambda r: r.set(key, 1, ex=_ECHO_EXPIRY_SECONDS))


@shared_task(name="operations.verify", acks_late=False)
def verify(run: str, actor: str) -> None:
    """Run all self-checks for the page that asked for it."""
    verification.run(run, actor)

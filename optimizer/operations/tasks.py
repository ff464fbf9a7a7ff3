"""What Celery's workers do for operations; beat asks for it."""

from celery import shared_task

from optimizer.operations.services import alerting, notices, samples


@shared_task(name="operations.watch")
def watch() -> int:
    """Keep this minute's figures, look at the alert rules, tell what is to be told."""
    minute, values = samples.take()
    samples.roll_up()
    alerting.evaluate(minute, values)
    return notices.deliver_due()


@shared_task(name="operations.forget")
def forget() -> int:
    """Delete figures and alerts that are older than an admin wants them kept."""
    return samples.forget() + notices.forget()

"""What Celery's workers do for operations; beat asks for it."""

from celery import shared_task

from optimizer.operations.services import index_runs, notices, samples, watching


@shared_task(name="operations.watch")
def watch() -> int:
    """Keep this minute's figures, look at the alert rules, tell what is to be told."""
    return watching.watch()


@shared_task(name="operations.forget")
def forget() -> int:
    """Delete figures and alerts that are older than an admin wants them kept."""
    return samples.forget() + notices.forget()


@shared_task(name=index_runs.TASK)
def make_indexes() -> str:
    """Make the document indexes that are missing or different; return how it ended."""
    return index_runs.work().state

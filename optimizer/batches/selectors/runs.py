"""Runs, as they stand."""

from optimizer.batches.models import Run


def run_of(job_id: int, run_id: int) -> Run | None:
    """Return a run of a job; None where there is none."""
    return Run.objects.filter(job_id=job_id, pk=run_id).first()

"""Change the first tier's budget, as the miss-ratio curve advises."""

from caching.models import CachingSettings
from optimizer.control.revisions import change


def set_budget(budget_bytes: int) -> int | None:
    """Set the budget in bytes; return the revision, None for no change. Raises ValidationError."""
    with change("caching", reason="As the miss-ratio curve advises") as recorder:
        row = CachingSettings.load()
        row.l1_budget_bytes = budget_bytes
        row.full_clean()
        row.save()
    return recorder.revision.number if recorder.revision is not None else None

"""Jobs as admins edit them, the inbox, and what is kept of the work."""

from optimizer.batches.models.choices import Asked
from optimizer.batches.models.component import BatchesSettings
from optimizer.batches.models.inbox import LANES, AcceptedKey, DeadLetter, Item, Lane
from optimizer.batches.models.jobs import Job
from optimizer.batches.models.records import Callback, JobState, Run

__all__ = [
    "LANES",
    "AcceptedKey",
    "Asked",
    "BatchesSettings",
    "Callback",
    "DeadLetter",
    "Item",
    "Job",
    "JobState",
    "Lane",
    "Run",
]

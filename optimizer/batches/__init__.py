"""Batch processor: single items in, bulk operations out, nothing lost, nothing doubled.

from optimizer.batches import batch_handler, bulk_upsert, collect, submit
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optimizer.batches.services.bulk import (
        Written,
        bulk_delete,
        bulk_insert,
        bulk_update,
        bulk_upsert,
    )
    from optimizer.batches.services.errors import (
        Again,
        BadItem,
        BatchError,
        JobFull,
        TooMany,
        UnknownJob,
    )
    from optimizer.batches.services.functions import batch_handler, batch_source
    from optimizer.batches.services.submitting import Entry, collect, submit, submit_many

_WHERE = {
    "Again": "errors",
    "BadItem": "errors",
    "BatchError": "errors",
    "Entry": "submitting",
    "JobFull": "errors",
    "TooMany": "errors",
    "UnknownJob": "errors",
    "Written": "bulk",
    "batch_handler": "functions",
    "batch_source": "functions",
    "bulk_delete": "bulk",
    "bulk_insert": "bulk",
    "bulk_update": "bulk",
    "bulk_upsert": "bulk",
    "collect": "submitting",
    "submit": "submitting",
    "submit_many": "submitting",
}

__all__ = [
    "Again",
    "BadItem",
    "BatchError",
    "Entry",
    "JobFull",
    "TooMany",
    "UnknownJob",
    "Written",
    "batch_handler",
    "batch_source",
    "bulk_delete",
    "bulk_insert",
    "bulk_update",
    "bulk_upsert",
    "collect",
    "submit",
    "submit_many",
]


def __getattr__(name: str) -> Any:
    """Import late: models cannot be imported before Django's apps are ready."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"optimizer.batches.services.{_WHERE[name]}"), name)

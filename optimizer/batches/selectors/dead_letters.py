"""A job's dead letters, page by page, and which of them are meant."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Count, QuerySet

from optimizer.batches.models import DeadLetter

MOST = 100  # on a page


@dataclass(frozen=True, slots=True)
class Letter:
    """An item that could not be applied; one that was edited into no JSON is its text."""

    id: int
    item_id: int
    key: str
    item: Any
    error_type: str
    error: str
    attempts: int
    sent_at: datetime
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class Letters:
    """A page of dead letters; `total` is how many there are of their sort."""

    total: int
    dead_letters: list[Letter]


def listed(
    job_id: int,
    limit: int,
    offset: int = 0,
    *,
    error_type: str = "",
    among: Iterable[int] | None = None,
) -> Letters:
    """Return a page of a job's dead letters, the newest first; of one type, or `among` some."""
    rows = of_job(job_id, among)
    if error_type:
        rows = rows.filter(error_type=error_type)
    return Letters(rows.count(), [_letter(one) for one in rows[offset : offset + limit]])


def asked() -> dict[str, int]:
    """Return how many dead letters workers are to replay and to discard."""
    rows = DeadLetter.objects.exclude(asked="").order_by().values("asked")
    return dict(rows.annotate(count=Count("pk")).values_list("asked", "count"))


def of_job(job_id: int, among: Iterable[int] | None) -> QuerySet[DeadLetter]:
    """Return the rows of a job's dead letters: all, or those that are `among` some."""
    rows = DeadLetter.objects.filter(job_id=job_id)
    return rows if among is None else rows.filter(pk__in=among)


def _letter(row: DeadLetter) -> Letter:
    try:
        item = msgspec.json.decode(row.payload)
    except (msgspec.DecodeError, RecursionError):
        item = row.payload
    return Letter(
        row.pk,
        row.item_id,
        row.key,
        item,
        row.error_type,
        row.error,
        row.attempts,
        row.created_at,
        row.failed_at,
    )

"""Dead letters: items that could not be applied; kept, edited, replayed, discarded."""

from collections.abc import Iterable, Mapping

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from optimizer.batches.engine.settings import Job
from optimizer.batches.models import DeadLetter, Item, JobState
from optimizer.batches.services import wakeups
from optimizer.batches.services.errors import describe
from optimizer.batches.services.inbox import Taken

_CHUNK = 500


def bury(job: Job, failed: Mapping[int, tuple[Taken, BaseException]], *, attempts: int = 0) -> None:
    """Keep items with their errors, within the caller's transaction."""
    now = timezone.now()
    letters = []
    for item, error in failed.values():
        kind, text = describe(error)
        letters.append(
            DeadLetter(
                job_id=job.id,
                item_id=item.id,
                lane=item.lane,
                key=item.key,
                payload=item.payload,
                error_type=kind[:100],
                error=text,
                attempts=min(32_767, item.attempts + attempts),
                created_at=item.created_at,
                failed_at=now,
            )
        )
    DeadLetter.objects.bulk_create(letters, batch_size=_CHUNK)


def replay(pks: Iterable[int]) -> int:
    """Put dead letters back into their jobs' inboxes; return how many there were.

    They keep their keys, and their place among those of their ordering key is the last.
    """
    count = 0
    for chunk in _chunks(pks):
        with transaction.atomic():
            letters = list(
                DeadLetter.objects.filter(pk__in=chunk)
                .select_related("job")
                .order_by("item_id")
                .select_for_update(of=("self",))
            )
            Item.objects.bulk_create(
                Item(job_id=one.job_id, lane=one.lane, key=one.key, payload=one.payload)
                for one in letters
            )
            _remove(letters, "replayed")
            for name in {one.job.name for one in letters}:
                wakeups.wake_on_commit(name)
        count += len(letters)
    return count


def discard(pks: Iterable[int]) -> int:
    """Delete dead letters for good; return how many there were."""
    count = 0
    for chunk in _chunks(pks):
        with transaction.atomic():
            letters = list(DeadLetter.objects.filter(pk__in=chunk).select_for_update())
            _remove(letters, "discarded")
        count += len(letters)
    return count


def _remove(letters: list[DeadLetter], counter: str) -> None:
    by_job: dict[int, int] = {}
    for one in letters:
        by_job[one.job_id] = by_job.get(one.job_id, 0) + 1
    DeadLetter.objects.filter(pk__in=[one.pk for one in letters]).delete()
    for job_id, count in sorted(by_job.items()):
        JobState.objects.get_or_create(job_id=job_id)
        JobState.objects.filter(job_id=job_id).update(**{counter: F(counter) + count})


def _chunks(pks: Iterable[int]) -> Iterable[list[int]]:
    every = sorted(set(pks))
    return (every[at : at + _CHUNK] for at in range(0, len(every), _CHUNK))

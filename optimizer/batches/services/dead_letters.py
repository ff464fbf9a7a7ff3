"""Dead letters: items that could not be applied; kept, edited, replayed, discarded."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from celery import current_app
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from optimizer.batches.engine.settings import Job as LiveJob
from optimizer.batches.models import Asked, DeadLetter, Job, JobState
from optimizer.batches.services import inbox, wakeups
from optimizer.batches.services.errors import describe
from optimizer.batches.services.inbox import Taken

logger = logging.getLogger(__name__)
AT_ONCE = 2000  # letters; of more a worker takes care
_CHUNK = 500


def bury(
    job: LiveJob, failed: Mapping[int, tuple[Taken, BaseException]], *, attempts: int = 0
) -> None:
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


@dataclass(frozen=True, slots=True)
class Settled:
    """How many dead letters were dealt with, and how many wait for a worker to do it."""

    done: int = 0
    waiting: int = 0


def settle(letters: QuerySet[DeadLetter], asked: Asked) -> Settled:
    """Replay or discard dead letters: few at once, many are marked for a worker.

    The marks are in the database, so what is lost on the way is found by the sweep.
    """
    letters = letters.order_by("pk")
    few = list(letters.values_list("pk", flat=True)[: AT_ONCE + 1])
    if len(few) <= AT_ONCE:
        return Settled(done=replay(few) if asked == Asked.REPLAY else discard(few))
    plain = DeadLetter.objects.filter(pk__in=letters.order_by().values("pk"))
    with transaction.atomic():
        marked = plain.update(asked=asked)
        transaction.on_commit(_send)
    return Settled(waiting=marked)


def _send() -> None:
    try:
        current_app.send_task("batches.letters", expires=30, retry=False)
    except Exception as error:  # whatever a broker's client raises; the sweep comes anyway
        logger.warning("No worker could be told of dead letters: %s", error)


def work_off(seconds: float = 2.0) -> bool:
    """Do what was asked for very many dead letters, so long; return whether more are left.

    The sweep comes every two seconds, so what is left goes on then, and other work in between.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with transaction.atomic():
            rows = DeadLetter.objects.exclude(asked="").order_by("pk")
            chunk = list(
                rows.select_for_update(skip_locked=True).values_list("pk", "job_id", "asked")[
                    :_CHUNK
                ]
            )
            if not chunk:
                return False
            for asked, settle_them in ((Asked.REPLAY, _replay), (Asked.DISCARD, _discard)):
                settle_them({pk: job_id for pk, job_id, mark in chunk if mark == asked})
    return True


def replay(pks: Iterable[int]) -> int:
    """Put dead letters back into their jobs' inboxes; return how many there were.

    They keep their keys, and their place among those of their ordering key is the last.
    """
    return _in_chunks(pks, _replay)


def discard(pks: Iterable[int]) -> int:
    """Delete dead letters for good; return how many there were."""
    return _in_chunks(pks, _discard)


def edit(letter: DeadLetter, payload: str) -> bool:
    """Store another payload; False where somebody has changed or settled the letter meanwhile."""
    unchanged = DeadLetter.objects.filter(pk=letter.pk, payload=letter.payload)
    return unchanged.update(payload=payload) == 1


def _in_chunks(pks: Iterable[int], settle_them: Callable[[dict[int, int]], None]) -> int:
    every, count = sorted(set(pks)), 0
    for at in range(0, len(every), _CHUNK):
        with transaction.atomic():
            rows = DeadLetter.objects.filter(pk__in=every[at : at + _CHUNK]).order_by("pk")
            jobs = dict(rows.select_for_update().values_list("pk", "job_id"))
            settle_them(jobs)
        count += len(jobs)
    return count


def _replay(jobs: dict[int, int]) -> None:
    """Put locked letters, given with their jobs, back into the inbox."""
    inbox.put_letters(list(jobs))
    _remove(jobs, "replayed")
    names = Job.objects.filter(pk__in=set(jobs.values())).values_list("name", flat=True)
    for name in names if jobs else ():
        wakeups.wake_on_commit(name)


def _discard(jobs: dict[int, int]) -> None:
    _remove(jobs, "discarded")


def _remove(jobs: dict[int, int], counter: str) -> None:
    gone = DeadLetter.objects.filter(pk__in=list(jobs))
    gone._raw_delete(gone.db)  # nothing points at them, so they need not be loaded
    for job_id, count in sorted(Counter(jobs.values()).items()):
        JobState.objects.get_or_create(job_id=job_id)
        JobState.objects.filter(job_id=job_id).update(**{counter: F(counter) + count})

"""Call-backs: a Celery task or a signed webhook hears when a run ends or an inbox is empty."""

import time
from datetime import datetime, timedelta

from celery import current_app
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from optimizer.batches.models import Callback
from optimizer.batches.services.errors import describe
from optimizer.control import webhooks
from optimizer.control.backoff import full_jitter

MAX_ATTEMPTS = 12
_LEASE_SECONDS = 60


def deliver_due(most: int = 20, *, seconds: float = 10.0) -> int:
    """Deliver the call-backs whose time has come, so long; return how many arrived.

    Of a job whose other side is away one is tried, and the others wait with it: a worker that
    waits for each of them would do nothing else.
    """
    now, until = timezone.now(), time.monotonic() + seconds
    with transaction.atomic():
        waiting = Callback.objects.filter(
            delivered_at=None, available_at__lte=now, attempts__lt=MAX_ATTEMPTS
        )
        due = list(
            waiting.order_by("available_at", "attempts", "pk").select_related("job")
            .select_for_update(skip_locked=True, of=("self",))[:most]
        )  # fmt: skip
        Callback.objects.filter(pk__in=[one.pk for one in due]).update(
            attempts=F("attempts") + 1, available_at=now + timedelta(seconds=_LEASE_SECONDS)
        )
    arrived, away = 0, dict[int, datetime]()
    for one in due:
        if one.job_id in away or time.monotonic() > until:
            free_at = away.get(one.job_id, now)
            Callback.objects.filter(pk=one.pk, delivered_at=None).update(
                attempts=one.attempts, available_at=free_at
            )
            continue
        one.attempts += 1
        is_away = _deliver(one)
        arrived += one.delivered_at is not None
        if is_away:
            away[one.job_id] = one.available_at
            others = Callback.objects.filter(job_id=one.job_id, delivered_at=None)
            others.filter(available_at__lt=one.available_at).update(available_at=one.available_at)
    return arrived


def _deliver(callback: Callback) -> bool:
    """Try to deliver one, and keep what came of it; return whether nobody is there to take any."""
    job, error, is_away = callback.job, "", False
    message = {"type": f"batches.{callback.event}", "id": f"msg_{callback.pk}", **callback.body}
    message["created_at"] = callback.created_at.isoformat()
    try:
        if job.callback_task:
            current_app.send_task(job.callback_task, args=[message], retry=False)
        if job.callback_url:
            answer = webhooks.post(job.callback_url, f"msg_{callback.pk}", message)
            error, is_away = answer.error, answer.status >= 500 or answer.status == 429
    except Exception as raised:  # of the broker's client, of httpx
        error, is_away = ": ".join(describe(raised)), True
    if error:
        wait = full_jitter(callback.attempts, base_seconds=10.0, most_seconds=3600.0)
        callback.available_at = timezone.now() + timedelta(seconds=wait)
    else:
        callback.delivered_at = timezone.now()
    callback.error = error[:300]
    callback.save(update_fields=["available_at", "delivered_at", "error"])
    return is_away

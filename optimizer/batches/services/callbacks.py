"""Call-backs: a Celery task or a signed webhook hears when a run ends or an inbox is empty."""

from datetime import timedelta

from celery import current_app
from django.db import transaction
from django.utils import timezone

from optimizer.batches.models import Callback
from optimizer.control import webhooks
from optimizer.control.backoff import full_jitter

MAX_ATTEMPTS = 12
_LEASE_SECONDS = 60


def deliver_due(most: int = 20) -> int:
    """Deliver the call-backs whose time has come; return how many arrived."""
    now = timezone.now()
    with transaction.atomic():
        waiting = Callback.objects.filter(
            delivered_at=None, available_at__lte=now, attempts__lt=MAX_ATTEMPTS
        )
        due = list(
            waiting.order_by("available_at").select_related("job")
            .select_for_update(skip_locked=True, of=("self",))[:most]
        )  # fmt: skip
        for one in due:
            one.attempts += 1
            one.available_at = now + timedelta(seconds=_LEASE_SECONDS)
        Callback.objects.bulk_update(due, ["attempts", "available_at"])
    return sum(_deliver(one) for one in due)


def _deliver(callback: Callback) -> bool:
    job, error = callback.job, ""
    message = {"type": f"batches.{callback.event}", "id": f"msg_{callback.pk}", **callback.body}
    message["created_at"] = callback.created_at.isoformat()
    try:
        if job.callback_task:
            current_app.send_task(job.callback_task, args=[message], retry=False)
        if job.callback_url:
            error = webhooks.post(job.callback_url, f"msg_{callback.pk}", message)
    except Exception as raised:  # of the broker's client, of httpx
        error = f"{type(raised).__name__}: {raised}"
    if error:
        wait = full_jitter(callback.attempts, base_seconds=10.0, most_seconds=3600.0)
        callback.available_at = timezone.now() + timedelta(seconds=wait)
    else:
        callback.delivered_at = timezone.now()
    callback.error = error[:300]
    callback.save(update_fields=["available_at", "delivered_at", "error"])
    return not error

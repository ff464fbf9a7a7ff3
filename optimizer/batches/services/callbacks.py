"""Call-backs: a Celery task or a signed webhook hears when a run ends or an inbox is empty.

The signature is that of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over
"id.timestamp.body", the key being the secret without its prefix, read as base64.
"""

import base64
import hashlib
import hmac
import json
import time
from binascii import Error as NoBase64
from datetime import timedelta

import httpx
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from optimizer.batches.engine.backoff import full_jitter
from optimizer.batches.models import Callback

MAX_ATTEMPTS = 12
_TIMEOUT_SECONDS = 5.0
_LEASE_SECONDS = 60
_PREFIX = "whsec_"


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """Return the value of the header `webhook-signature`."""
    key = secret.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(key, validate=True)
    except NoBase64:
        raw = key.encode()
    digest = hmac.new(raw, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


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
            error = _post(job.callback_url, f"msg_{callback.pk}", message)
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


def _post(url: str, message_id: str, message: dict[str, object]) -> str:
    """Send it; return what went wrong, "" where nothing did."""
    body, timestamp = json.dumps(message), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if settings.WEBHOOK_SECRET:
        headers["webhook-signature"] = sign(settings.WEBHOOK_SECRET, message_id, timestamp, body)
    answer = httpx.post(url, content=body, headers=headers, timeout=_TIMEOUT_SECONDS)
    return "" if answer.is_success else f"{answer.status_code} {answer.reason_phrase}"

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
from datetime import datetime, timedelta

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from optimizer.batches.engine.backoff import full_jitter
from optimizer.batches.models import Callback
from optimizer.batches.services import outgoing
from optimizer.batches.services.errors import describe

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
            status, error = _post(job.callback_url, f"msg_{callback.pk}", message)
            is_away = status >= 500 or status == 429
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


def _post(url: str, message_id: str, message: dict[str, object]) -> tuple[int, str]:
    """Send it; return the status, and what went wrong, "" where nothing did."""
    body, timestamp = json.dumps(message), int(time.time())
    headers = {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    if settings.WEBHOOK_SECRET:
        headers["webhook-signature"] = sign(settings.WEBHOOK_SECRET, message_id, timestamp, body)
    answer = outgoing.post(url, body.encode(), headers, timeout_seconds=_TIMEOUT_SECONDS)
    return answer.status, "" if 200 <= answer.status < 300 else answer.says

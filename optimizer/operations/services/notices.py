"""Deliver what alerts and reviews have to tell: to the log, by e-mail, to signed webhooks."""

import logging
import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from optimizer.control import webhooks
from optimizer.control.backoff import full_jitter
from optimizer.operations.live import operations
from optimizer.operations.models import AlertEvent, Notice
from optimizer.operations.services import mail, review_mail
from optimizer.operations.services.alerting import amount_of
from optimizer.operations.services.samples import delete_in_chunks

logger = logging.getLogger("optimizer.operations.alerts")

MAX_ATTEMPTS = 16
_AT_ONCE, _LEASE_SECONDS = 10, 180  # time enough for all of them to hang
_BUDGET_SECONDS = 40.0  # the next minute's turn goes on
_LEAST_SECONDS, _BASE_SECONDS, _MOST_SECONDS = 10.0, 20.0, 3600.0
_LEVELS = {"critical": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


def deliver_due() -> int:
    """Deliver the notices whose time has come; return how many arrived.

    Each is leased first: of several workers one takes it, and where that one is killed it is tried
    again. So a notice arrives at least once; a webhook's `id` stays the same.
    """
    arrived, until = 0, time.monotonic() + _BUDGET_SECONDS
    while time.monotonic() < until and (due := _lease()):
        arrived += sum(_deliver(one) for one in due)
    return arrived


@transaction.atomic
def _lease() -> list[Notice]:
    now = timezone.now()
    rows = waiting().filter(available_at__lte=now).order_by("available_at", "pk")
    locked = rows.select_for_update(skip_locked=True, of=("self",))
    due = list(locked.select_related("event", "review")[:_AT_ONCE])
    for one in due:
        one.attempts += 1
        one.available_at = now + timedelta(seconds=_LEASE_SECONDS)
    Notice.objects.bulk_update(due, ["attempts", "available_at"])
    return due


def waiting() -> Any:
    """Return the notices that are still to be delivered."""
    return Notice.objects.filter(delivered_at=None, attempts__lt=MAX_ATTEMPTS)


def _deliver(notice: Notice) -> bool:
    event, review = notice.event, notice.review
    try:
        if event is not None:
            error = _send(notice, event)
        elif review is not None:
            error = review_mail.send(review, notice.target)
        else:
            return False
    except Exception as raised:  # of the mail server's client, of httpx
        error = f"{type(raised).__name__}: {raised}"
    if error:
        wait = _LEAST_SECONDS + full_jitter(
            notice.attempts, base_seconds=_BASE_SECONDS, most_seconds=_MOST_SECONDS
        )
        notice.available_at = timezone.now() + timedelta(seconds=wait)
        about = event.name if event is not None else "a performance review"
        logger.warning("A notice of %r did not arrive by %s: %s", about, notice.channel, error)
    else:
        notice.delivered_at = timezone.now()
    notice.error = error[:300]
    notice.save(update_fields=["available_at", "delivered_at", "error"])
    return not error


def _send(notice: Notice, event: AlertEvent) -> str:
    """Send a notice; return what went wrong, "" where nothing did."""
    title = f"{'Resolved' if notice.kind == Notice.Kind.RESOLVED else 'Alert'}: {event.name}"
    if notice.channel == Notice.Channel.WEBHOOK:
        return webhooks.post(notice.target, f"alert_{notice.pk}", message_of(notice, event)).error
    if notice.channel == Notice.Channel.EMAIL:
        return mail.send(notice.target, title, _text(notice, event))
    is_over = notice.kind == Notice.Kind.RESOLVED
    level = logging.INFO if is_over else _LEVELS.get(event.severity, logging.WARNING)
    logger.log(level, "%s (%s: %s)", title, event.condition, amount_of(event.figure, event.value))
    return ""


def _text(notice: Notice, event: AlertEvent) -> str:
    lines = [
        f"{event.condition}.",
        "",
        f"Severity: {event.severity}",
        f"Since: {event.started_at:%Y-%m-%d %H:%M} UTC",
        f"Then: {amount_of(event.figure, event.value)}",
        f"Worst: {amount_of(event.figure, event.worst)}",
    ]
    if event.resolved_at is not None and notice.kind == Notice.Kind.RESOLVED:
        lines.append(f"Over: {event.resolved_at:%Y-%m-%d %H:%M} UTC")
    return "\n".join(lines) + "\n"


def message_of(notice: Notice, event: AlertEvent) -> dict[str, Any]:
    """Return what a webhook is sent."""
    resolved = event.resolved_at if notice.kind == Notice.Kind.RESOLVED else None
    return {
        "type": f"alerts.{notice.kind}",
        "id": f"alert_{notice.pk}",
        "event": event.pk,
        "name": event.name,
        "figure": event.figure,
        "severity": event.severity,
        "condition": event.condition,
        "value": event.value,
        "worst": event.worst,
        "started_at": event.started_at.isoformat(),
        "resolved_at": resolved.isoformat() if resolved else None,
        "created_at": notice.created_at.isoformat(),
    }


def forget() -> int:
    """Delete alerts that have been over for long, with their notices; return how many rows."""
    end = timezone.now() - timedelta(days=operations.current().keep_alerts_days)
    return delete_in_chunks(AlertEvent.objects.filter(~Q(resolved_at=None), resolved_at__lt=end))

"""Deliver what alerts have to tell: to the log, by e-mail, and to signed webhooks."""

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from optimizer.control import webhooks
from optimizer.control.backoff import full_jitter
from optimizer.operations.live import operations
from optimizer.operations.models import AlertEvent, AlertNotice
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
        events = AlertEvent.objects.in_bulk({one.event_id for one in due})
        arrived += sum(_deliver(one, events[one.event_id]) for one in due if one.event_id in events)
    return arrived


@transaction.atomic
def _lease() -> list[AlertNotice]:
    now = timezone.now()
    due = list(
        waiting().filter(available_at__lte=now).order_by("available_at", "pk")
        .select_for_update(skip_locked=True)[:_AT_ONCE]
    )  # fmt: skip
    for one in due:
        one.attempts += 1
        one.available_at = now + timedelta(seconds=_LEASE_SECONDS)
    AlertNotice.objects.bulk_update(due, ["attempts", "available_at"])
    return due


def waiting() -> Any:
    """Return the notices that are still to be delivered."""
    return AlertNotice.objects.filter(delivered_at=None, attempts__lt=MAX_ATTEMPTS)


def _deliver(notice: AlertNotice, event: AlertEvent) -> bool:
    try:
        error = _send(notice, event)
    except Exception as raised:  # of the mail server's client, of httpx
        error = f"{type(raised).__name__}: {raised}"
    if error:
        wait = _LEAST_SECONDS + full_jitter(
            notice.attempts, base_seconds=_BASE_SECONDS, most_seconds=_MOST_SECONDS
        )
        notice.available_at = timezone.now() + timedelta(seconds=wait)
        logger.warning("A notice of %r did not arrive by %s: %s", event.name, notice.channel, error)
    else:
        notice.delivered_at = timezone.now()
    notice.error = error[:300]
    notice.save(update_fields=["available_at", "delivered_at", "error"])
    return not error


def _send(notice: AlertNotice, event: AlertEvent) -> str:
    """Send a notice; return what went wrong, "" where nothing did."""
    title = f"{'Resolved' if notice.kind == AlertNotice.Kind.RESOLVED else 'Alert'}: {event.name}"
    if notice.channel == AlertNotice.Channel.WEBHOOK:
        return webhooks.post(notice.target, f"alert_{notice.pk}", message_of(notice, event)).error
    if notice.channel == AlertNotice.Channel.EMAIL:
        if not settings.EMAIL_URL:
            return "EMAIL_URL is not set, so no mail can be sent"
        subject = f"[{settings.ENVIRONMENT_NAME or 'Tuneup'}] {title}"
        sent = send_mail(subject, _text(notice, event), None, [notice.target])
        return "" if sent else "the mail server took no mail"
    is_over = notice.kind == AlertNotice.Kind.RESOLVED
    level = logging.INFO if is_over else _LEVELS.get(event.severity, logging.WARNING)
    logger.log(level, "%s (%s: %s)", title, event.condition, amount_of(event.figure, event.value))
    return ""


def _text(notice: AlertNotice, event: AlertEvent) -> str:
    lines = [
        f"{event.condition}.",
        "",
        f"Severity: {event.severity}",
        f"Since: {event.started_at:%Y-%m-%d %H:%M} UTC",
        f"Then: {amount_of(event.figure, event.value)}",
        f"Worst: {amount_of(event.figure, event.worst)}",
    ]
    if event.resolved_at is not None and notice.kind == AlertNotice.Kind.RESOLVED:
        lines.append(f"Over: {event.resolved_at:%Y-%m-%d %H:%M} UTC")
    return "\n".join(lines) + "\n"


def message_of(notice: AlertNotice, event: AlertEvent) -> dict[str, Any]:
    """Return what a webhook is sent."""
    resolved = event.resolved_at if notice.kind == AlertNotice.Kind.RESOLVED else None
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

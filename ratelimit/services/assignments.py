"""Give subjects a tier or a place on a list, for ever or for a time."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.utils import timezone

from optimizer.control.revisions import change
from ratelimit.models import Access, Subject, Tier


def assign(
    identifier: str,
    *,
    tier: str | None = None,
    access: str = Access.LIMIT.value,
    expires_after_seconds: int | None = None,
    reason: str = "",
) -> Subject:
    """Assign a subject; an earlier assignment is replaced. Raises ValidationError."""
    row = Subject.objects.filter(identifier=identifier).first() or Subject(identifier=identifier)
    row.tier = None
    if tier is not None:
        row.tier = Tier.objects.filter(name=tier).first()
        if row.tier is None:
            raise ValidationError({"tier": f"There is no tier {tier!r}."})
    row.access, row.expires_at = access, None
    if expires_after_seconds is not None:
        row.expires_at = timezone.now() + timedelta(seconds=expires_after_seconds)
    row.full_clean()
    with change("ratelimit", reason=reason):
        row.save()
    return row


def unassign(identifier: str, *, reason: str = "") -> bool:
    """Take an assignment back; say if there was one."""
    row = Subject.objects.filter(identifier=identifier).first()
    if row is None:
        return False
    with change("ratelimit", reason=reason):
        row.delete()
    return True

"""Template filters of the admin pages."""

from datetime import datetime

from django import template
from django.utils import timezone

from optimizer.control.units import format_ago, format_amount, format_duration

register = template.Library()


@register.filter
def amount(value: float, unit: str) -> str:
    """Return a number with its unit, as people read it."""
    return format_amount(value, unit)


@register.filter
def duration(seconds: float) -> str:
    """Return a measured time in the unit that suits it."""
    return format_duration(seconds)


@register.filter
def ago(moment: datetime) -> str:
    """Return how long ago a moment was."""
    return format_ago((timezone.now() - moment).total_seconds())


@register.filter
def count(number: int) -> str:
    """Return a number with its thousands apart."""
    return format_amount(number, "")


@register.filter
def state_class(state: str) -> str:
    """Return the colour class of a state."""
    good, bad = {"SYNCED", "up", "closed", "live"}, {"NOT SEEN", "down", "open"}
    return "ok" if state in good else "bad" if state in bad else "wait"

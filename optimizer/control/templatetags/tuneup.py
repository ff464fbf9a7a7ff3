"""Template filters of the admin pages."""

from django import template

from optimizer.control.units import format_amount

register = template.Library()


@register.filter
def amount(value: float, unit: str) -> str:
    """Return a number with its unit, as people read it."""
    return format_amount(value, unit)


@register.filter
def state_class(state: str) -> str:
    """Return the colour class of a state."""
    good, bad = {"SYNCED", "up", "closed", "live"}, {"NOT SEEN", "down", "open"}
    return "ok" if state in good else "bad" if state in bad else "wait"

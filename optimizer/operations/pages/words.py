"""How alerts and their notices are told: colours and badges."""

from django.utils.html import format_html
from django.utils.safestring import SafeString

from optimizer.operations.models import AlertRule

STATE_COLOURS = {"ok": "ok", "pending": "wait", "firing": "bad", "off": "quiet", "new": "quiet"}
SEVERITY_COLOURS = {"critical": "bad", "warning": "wait", "info": "plain"}
OUTCOME_COLOURS = {"sent": "ok", "waiting": "wait", "given up": "bad"}


def badge(title: str, colour: str) -> SafeString:
    """Return a coloured label."""
    return format_html('<span class="tu-state tu-plain {}">{}</span>', colour, title)


def state_of(rule: AlertRule) -> str:
    """Return how a rule stands: ok, pending, firing; off, or new where nobody has looked yet."""
    if not rule.enabled:
        return "off"
    return str(rule.state.state) if hasattr(rule, "state") else "new"

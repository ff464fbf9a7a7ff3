"""The first alert rules."""

from optimizer.control.revisions import change
from optimizer.operations.models import AlertRule

_ABOVE, _BELOW = AlertRule.Comparison.ABOVE, AlertRule.Comparison.BELOW
_CRITICAL, _WARNING, _INFO = (
    AlertRule.Severity.CRITICAL,
    AlertRule.Severity.WARNING,
    AlertRule.Severity.INFO,
)
# name, figure, side, threshold, where it clears, minutes, severity
_RULES = (
    ("Something is away", "operations.failing_checks", _ABOVE, 0, None, 3, _CRITICAL),
    ("Many requests fail", "operations.server_error_percent", _ABOVE, 5, 2, 5, _CRITICAL),
    ("Requests are slow", "operations.request_p95_seconds", _ABOVE, 1, 0.7, 10, _WARNING),
    ("Items wait long", "batches.oldest_item_seconds", _ABOVE, 900, 300, 5, _WARNING),
    ("Dead letters gather", "batches.dead_letters", _ABOVE, 100, 50, 5, _WARNING),
    ("Most calls are denied", "ratelimit.denied_percent", _ABOVE, 50, 30, 10, _WARNING),
    ("The cache hits little", "caching.hit_percent", _BELOW, 20, 40, 30, _INFO),
)


def seed() -> None:
    """Write the first rules where there are none yet: they tell the log alone."""
    if AlertRule.objects.exists():
        return
    with change("operations", reason="First alert rules"):
        for name, figure, side, threshold, clears_at, minutes, severity in _RULES:
            rule = AlertRule(
                name=name,
                figure=figure,
                comparison=side,
                threshold=threshold,
                clear_threshold=clears_at,
                for_minutes=minutes,
                severity=severity,
            )
            rule.full_clean()
            rule.save()

"""Alert rules as Prometheus reads them."""

import json
from typing import Any

import yaml

from optimizer.control import registry
from optimizer.operations.models import AlertRule
from optimizer.operations.services.alerting import condition_of

_HEADER = "# Written by `manage.py export_alert_rules`; change the rules in Tuneup's admin.\n"


def rule_file() -> str:
    """Return the rules that are on as a Prometheus rule file."""
    rules = [
        _rule(rule, known[1].promql)
        for rule in AlertRule.objects.filter(enabled=True).order_by("name")
        if (known := registry.figures().get(rule.figure)) is not None
    ]
    groups = [{"name": "tuneup", "interval": "1m", "rules": rules}] if rules else []
    document = {"groups": groups}
    return _HEADER + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _rule(rule: AlertRule, promql: str) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": expression_of(rule, promql),
        **({"for": f"{rule.for_minutes}m"} if rule.for_minutes else {}),
        "labels": {"severity": rule.severity, "figure": rule.figure},
        "annotations": {"summary": f"{condition_of(rule)}: {{{{ $value | humanize }}}}"},
    }


def expression_of(rule: AlertRule, promql: str) -> str:
    """Return the condition: the threshold, and while it fires the value at which it clears."""
    passed = ">" if rule.comparison == AlertRule.Comparison.ABOVE else "<"
    expression = f"({promql}) {passed} {rule.threshold!r}"
    if rule.clears_at == rule.threshold:
        return expression
    name = json.dumps(rule.name, ensure_ascii=False)
    fires = f'ALERTS{{alertname={name}, alertstate="firing"}}'
    return f"{expression}\nor\n(({promql}) {passed} {rule.clears_at!r} and on () {fires})"

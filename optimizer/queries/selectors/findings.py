"""Findings, as doors list them."""

from dataclasses import dataclass

from optimizer.queries.models import Finding
from optimizer.queries.models.findings import State

MOST = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """Some findings, and how many there are of their sort."""

    total: int
    findings: list[Finding]


def listed(
    state: str | None = None, kind: str | None = None, limit: int = 20, offset: int = 0
) -> Listed:
    """Return findings, those that lose most time first; None is any state or kind."""
    rows = Finding.objects.all()
    if state is not None:
        rows = rows.filter(state=state)
    if kind is not None:
        rows = rows.filter(kind=kind)
    return Listed(rows.count(), list(rows[offset : offset + min(limit, MOST)]))


def open_findings() -> list[Finding]:
    """Return all that is to mend, what loses most time first."""
    return list(Finding.objects.filter(state=State.OPEN))

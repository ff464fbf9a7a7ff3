"""What people make of a finding or of advice on an index: open, ignored, fixed."""

from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone

from optimizer.queries.models import Finding, IndexAdvice
from optimizer.queries.models.findings import State

Row = TypeVar("Row", Finding, IndexAdvice)


def set_state(rows: QuerySet[Row], state: str) -> int:
    """Give rows a state; return how many had another. Raises ValueError where there is none such.

    A finding that is declared fixed remembers when, and one that opens again by hand forgets it.
    """
    chosen = State(state)
    changed: dict[str, object] = {"state": chosen}
    if rows.model is Finding:
        changed["fixed_at"] = timezone.now() if chosen == State.FIXED else None
    return rows.exclude(state=chosen).update(**changed)

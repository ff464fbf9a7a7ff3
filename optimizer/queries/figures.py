"""The figures of the query optimizer that are kept each minute."""

from optimizer.control.redis import RedisAway
from optimizer.control.registry import Figure, Figures
from optimizer.queries import metrics
from optimizer.queries.models import Finding
from optimizer.queries.models.findings import State
from optimizer.queries.services import reporter

_SECONDS = 60


def read() -> dict[str, float]:
    """Return the open findings, and the units of the last minute."""
    open_findings = Finding.objects.filter(state=State.OPEN).count()
    metrics.OPEN_FINDINGS.set(open_findings)
    found = {"open_findings": float(open_findings)}
    try:
        counts = reporter.series.totals(_SECONDS)
    except RedisAway:
        return found
    return found | {"units_per_second": (counts["watched"] + counts["skipped"]) / _SECONDS}


FIGURES = Figures(
    (
        Figure(
            "open_findings",
            "Open findings",
            "findings",
            "max(tuneup_queries_open_findings)",
            better="less",
        ),
        Figure(
            "units_per_second",
            "Requests, tasks and commands",
            "a second",
            "sum(rate(tuneup_queries_units_total[1m]))",
        ),
    ),
    read,
)

"""What an admin edits, and what was found."""

from optimizer.queries.models.component import IgnoreRule, QueriesSettings
from optimizer.queries.models.findings import Finding, IndexAdvice
from optimizer.queries.models.statistics import (
    Checkpoint,
    Ignored,
    Statement,
    Statistic,
    TableWrites,
)

__all__ = [
    "Checkpoint",
    "Finding",
    "IgnoreRule",
    "Ignored",
    "IndexAdvice",
    "QueriesSettings",
    "Statement",
    "Statistic",
    "TableWrites",
]

"""What admins edit in operations, and what is kept: samples, alert events, reviews, notices."""

from optimizer.operations.models.alerts import AlertEvent, AlertRule, AlertState
from optimizer.operations.models.component import Network, OperationsSettings, parse_networks
from optimizer.operations.models.document_indexes import DocumentIndex
from optimizer.operations.models.notices import Notice
from optimizer.operations.models.reviews import PerformanceReview
from optimizer.operations.models.samples import Sample

__all__ = [
    "AlertEvent",
    "AlertRule",
    "AlertState",
    "DocumentIndex",
    "Network",
    "Notice",
    "OperationsSettings",
    "PerformanceReview",
    "Sample",
    "parse_networks",
]

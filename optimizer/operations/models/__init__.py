"""What admins edit in operations, and what is kept: samples, alert events, notices."""

from optimizer.operations.models.alerts import AlertEvent, AlertNotice, AlertRule, AlertState
from optimizer.operations.models.component import Network, OperationsSettings, parse_networks
from optimizer.operations.models.document_indexes import DocumentIndex
from optimizer.operations.models.samples import Sample

__all__ = [
    "AlertEvent",
    "AlertNotice",
    "AlertRule",
    "AlertState",
    "DocumentIndex",
    "Network",
    "OperationsSettings",
    "Sample",
    "parse_networks",
]

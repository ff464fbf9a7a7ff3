"""System checks of what the environment asks for and the installation lacks."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from optimizer.operations import traces


@register("operations")
def packages_of_traces(**_: Any) -> list[CheckMessage]:
    """Check that traces can be exported where a collector is named."""
    missing = traces.missing_packages() if settings.EXPORT_TRACES else []
    if not missing:
        return []
    return [
        Warning(
            f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but not installed are {', '.join(missing)}."
            " No traces are exported.",
            hint=f"Install them: {traces.INSTALL}",
            id="operations.W001",
        )
    ]

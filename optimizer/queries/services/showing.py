"""Findings of a unit as they are shown."""

from optimizer.queries.engine.formats import Told
from optimizer.queries.services.findings import Finding


def told_of(finding: Finding, unit: str) -> Told:
    """Return a finding with the name of the unit that it was in."""
    lost = finding.seconds
    if finding.kind != "slow":  # one of them was needed
        lost -= lost / max(1, finding.count)
    return Told(
        finding.kind,
        finding.location,
        finding.suggestion,
        finding.queryset_location,
        finding.count,
        lost,
        finding.sql,
        finding.fingerprint,
        [unit],
    )

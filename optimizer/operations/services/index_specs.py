"""What a row says of an index, without the driver: pages show it where there is no MongoDB."""

from optimizer.control.units import format_amount
from optimizer.operations.engine.index_drift import IndexSpec
from optimizer.operations.models import DocumentIndex
from optimizer.operations.models.document_indexes import parse_keys


def spec_of(row: DocumentIndex) -> IndexSpec:
    """Return what a row wants."""
    return IndexSpec(
        name=row.name,
        keys=parse_keys(row.keys),
        unique=row.unique,
        sparse=row.sparse,
        expire_after_seconds=row.expire_after_seconds,
        partial_filter=row.partial_filter or None,
        collation=row.collation or None,
    )


def options_of(spec: IndexSpec) -> list[str]:
    """Return what is special about an index, in words."""
    told = [name for name in ("unique", "sparse") if getattr(spec, name)]
    if spec.expire_after_seconds is not None:
        told.append(f"expires after {format_amount(spec.expire_after_seconds, 'seconds')}")
    told += ["partial"] if spec.partial_filter else []
    return [*told, "collation"] if spec.collation else told

"""PostgreSQL's EXPLAIN (FORMAT JSON), read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optimizer.queries.engine.plans import How, Plan, Read, bounded

_SCANS = frozenset({"Seq Scan", "Sample Scan"})
_INDEXED = frozenset({"Index Scan", "Index Only Scan", "Bitmap Heap Scan"})
_CONDITIONS = (
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "Join Filter",
    "Filter",
    "Sort Key",
    "Group Key",
)


def read_plan(explained: Sequence[Mapping[str, Any]]) -> Plan:
    """Return the plan of EXPLAIN's document. Raises ValueError where it is none."""
    try:
        root = explained[0]["Plan"]
        nodes = [node for node, _ in _nodes(root)]
        return Plan(
            tuple(read for node in nodes if (read := _read(node)) is not None),
            sorts=any(node["Node Type"] in ("Sort", "Incremental Sort") for node in nodes),
            groups=any(node.get("Group Key") or node["Node Type"] == "Unique" for node in nodes),
            cost=float(root["Total Cost"]),
            text=bounded("\n".join(_line(node, depth) for node, depth in _nodes(root))),
        )
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError("this is no plan of EXPLAIN (FORMAT JSON)") from error


def _nodes(node: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[Mapping[str, Any], int]]:
    yield node, depth
    for child in node.get("Plans", ()):
        yield from _nodes(child, depth + 1)


def _read(node: Mapping[str, Any]) -> Read | None:
    kind = node["Node Type"]
    if kind not in _SCANS and kind not in _INDEXED:
        return None
    return Read(
        node.get("Alias", ""),
        How.SCAN if kind in _SCANS else How.INDEX,
        table=node.get("Relation Name", ""),
        index=node.get("Index Name") or _bitmap_index(node),
        is_covering=kind == "Index Only Scan",
        rows=float(node["Plan Rows"]),
        is_filtered="Filter" in node,
    )


def _bitmap_index(node: Mapping[str, Any]) -> str:
    return next((str(one["Index Name"]) for one, _ in _nodes(node) if "Index Name" in one), "")


def _line(node: Mapping[str, Any], depth: int) -> str:
    text = "  " * depth + node["Node Type"]
    if "Index Name" in node:
        text += f" using {node['Index Name']}"
    if "Relation Name" in node:
        text += f" on {node['Relation Name']}"
        if node.get("Alias") not in (None, node["Relation Name"]):
            text += f" {node['Alias']}"
    text += f"  (cost={node['Total Cost']:.2f} rows={node['Plan Rows']})"
    for name in _CONDITIONS:
        if said := node.get(name):
            text += f"  {name}: {', '.join(said) if isinstance(said, list) else said}"
    return str(text)

"""From a unit's groups to findings: what repeats, whether that is wrong, and how to mend it."""

import math
from dataclasses import dataclass

from optimizer.queries.engine.fingerprint import Verb
from optimizer.queries.services.command_findings import command_fix, command_kind
from optimizer.queries.services.commands import CommandGroup
from optimizer.queries.services.loads import Loaded
from optimizer.queries.services.remembered import is_remembered
from optimizer.queries.services.suggestions import suggestion
from optimizer.queries.services.units import Group, Unit, link

THRESHOLD = 2
_REVIEW_METHODS = frozenset({"validate_unique", "explain"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend. `location` is path:line of the user's code, `suggestion` code to paste."""

    kind: str
    location: str
    suggestion: str
    count: int
    sql: str
    seconds: float
    fingerprint: str
    queryset_location: str = ""


def findings_of(
    unit: Unit,
    *,
    threshold: int = THRESHOLD,
    slow_seconds: float = math.inf,
    loads: bool = True,
) -> list[tuple[Group, Finding]]:
    """Return what a unit did wrong, with the queries that did it, the costliest first.

    A repetition is wrong from `threshold` queries on, a single query from `slow_seconds` on;
    `loads` tells of what was loaded along in vain, too.
    """
    unit.fold()
    groups = list(unit.groups.values())
    if any(group.count >= threshold for group in groups):
        link(unit)
    found = []
    for group in groups:
        if group.count >= threshold and (one := _finding(group)) is not None:
            found.append((group, one))
        if group.max_seconds >= slow_seconds:
            found.append((group, _slow(group)))
    if loads:
        found += [
            (one.group, unused_load(one)) for one in unit.loaded if one.count and not one.reads
        ]
    return sorted(found, key=lambda one: -one[1].seconds)


def _slow(group: Group) -> Finding:
    return Finding(
        "slow",
        group.location,
        "Look at its plan: an index may be missing, or it reads more than is needed.",
        1,
        group.sql,
        group.max_seconds,
        group.shape.fingerprint,
        group.queryset_location,
    )


def unused_load(loaded: Loaded) -> Finding:
    """Return the finding of what was loaded along and never read."""
    group = loaded.group
    return Finding(
        "unused_eager_load",
        group.queryset_location,
        f'remove {loaded.method}("{loaded.path}"): nobody reads it',
        loaded.count,
        group.sql,
        0.0,
        group.shape.fingerprint,
        group.queryset_location,
    )


def _finding(group: Group) -> Finding | None:
    # A driver's command; one of Django's own is judged like SQL.
    command = group if isinstance(group, CommandGroup) and group.access.kind == "command" else None
    kind = command_kind(command) if command is not None else _kind(group)
    if kind is None:
        return None
    fix = command_fix(command, kind) if command is not None else suggestion(group, kind)
    at = f"  # {fix.location}" if fix.location and fix.location != group.location else ""
    return Finding(
        kind,
        group.location,
        f"{fix.text}{at}",
        group.count,
        group.sql,
        group.seconds,
        group.shape.fingerprint,
        fix.location,
    )


def _kind(group: Group) -> str | None:
    """Return the kind of finding that a repetition is, None where it is none."""
    shape, access = group.shape, group.access
    if shape.verb is Verb.OTHER or shape.is_batch or shape.is_page:
        return None
    if access.model is not None and access.model._meta.label == "contenttypes.ContentType":
        return None  # Django asks once for each and remembers it
    if access.method in _REVIEW_METHODS or shape.is_locking or _follows_itself(group):
        return "review"
    if len(group.parameters) < 2:
        return "duplicate" if group.repeats and not shape.is_write else None
    if is_remembered(group.stack):
        return "review"
    return "write_n_plus_one" if shape.is_write else "n_plus_one"


def _follows_itself(group: Group) -> bool:
    """Say whether each query needs the one before: up or down a tree, or one row of a queue."""
    access, provider = group.access, group.provider
    if group.climbs and group.climbs * 2 >= group.count - 1:
        return True
    if access.model is access.target and access.method in ("first", "last", "get"):
        return access.kind == "reverse_many"
    return (
        access.kind in ("save", "queryset", "delete")
        and access.method in ("save", "update", "delete")
        and provider is not None
        and provider.group.count > 1
        and len(provider.group.parameters) < 2
    )

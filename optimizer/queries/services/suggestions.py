"""The fix of a finding, as code to paste. Where no fix is sure, it says what to do in words."""

from dataclasses import dataclass

import django

from optimizer.queries.services.paths import is_to_many
from optimizer.queries.services.units import Group

_ONE = frozenset({"forward", "reverse_one"})
_FETCHED = _ONE | {"deferred", "generic_foreign_key"}  # what a fetch mode governs
_MANY = frozenset({"reverse_many", "many_to_many", "generic_relation"})


@dataclass(frozen=True, slots=True)
class Fix:
    """Code to paste, and the line of the queryset that it belongs to ("" where none is known)."""

    text: str
    location: str = ""


def suggestion(group: Group, kind: str) -> Fix:
    """Return the fix of a repeated query."""
    fix = _fix(group, kind)
    if kind == "n_plus_one" and group.access.kind in _FETCHED and django.VERSION >= (6, 1):
        # Django then fetches for all rows of the queryset at once.
        return Fix(f"{fix.text}  # or .fetch_mode(models.FETCH_PEERS)", fix.location)
    return fix


def _fix(group: Group, kind: str) -> Fix:
    access = group.access
    if kind == "duplicate":
        return Fix("Ask once and keep the result: the parameters are the same each time.")
    if kind == "write_n_plus_one" or access.method in ("update", "delete"):
        return _write(group)
    if access.kind in _ONE:
        return _eager(group)
    if access.kind in _MANY:
        return _many(group)
    if access.kind == "generic_foreign_key":
        return _eager(group, always_prefetch=True)
    if access.kind in ("save", "delete", "through"):
        return _write(group)
    if access.kind == "prefetch":
        return Fix(f'prefetch_related("{access.name}")')
    if access.kind == "deferred":
        _, root = _chain(group)
        return Fix(f'.only(…, "{access.query_name}") or no .defer("{access.query_name}")', root)
    if access.kind == "queryset" and access.target is not None:
        return _lookup(group)
    return Fix("One query for all: WHERE … IN (…), or a JOIN.")


def _eager(group: Group, *, always_prefetch: bool = False) -> Fix:
    path, root = _chain(group)
    how = "prefetch_related" if always_prefetch or _passes_many(group) else "select_related"
    return Fix(f'{how}("{path}")', root)


def _many(group: Group) -> Fix:
    access = group.access
    path, root = _chain(group)
    target = access.target.__name__ if access.target else "Model"
    name = access.query_name
    if access.method == "count" and access.is_plain:
        return Fix(f'annotate({access.name}_count=Count("{name}", distinct=True))', root)
    if access.method in ("exists", "contains") and access.is_plain:
        return Fix(f'prefetch_related("{path}"), and bool(….{access.name}.all())', root)
    if access.method == "count":
        return Fix(f'annotate({access.name}_count=Count("{name}", filter=Q(…)))', root)
    if access.method == "aggregate":
        return Fix(f"annotate({access.expressions})", root)
    if access.is_plain and not access.is_prefetched and access.method == "":
        return Fix(f'prefetch_related("{path}")', root)
    return Fix(
        f'prefetch_related(Prefetch("{path}", queryset={target}.objects.filter(…), '
        f'to_attr="chosen_{access.name}"))',
        root,
    )


def _write(group: Group) -> Fix:
    access = group.access
    name = access.model.__name__ if access.model else "Model"
    method = access.method
    if access.kind == "through" and method in ("remove", "clear"):
        return Fix(f"{name}.{access.name}.through.objects.filter(….__in=[…]).delete()")
    if access.kind in _MANY and access.target is not None:
        name = access.target.__name__  # what is written is not the parent
    if access.kind == "through":
        return Fix(f"{name}.{access.name}.through.objects.bulk_create([…])")
    if method == "get_or_create":
        return Fix(f"{name}.objects.bulk_create([…], ignore_conflicts=True)")
    if method == "update_or_create":
        return Fix(
            f"{name}.objects.bulk_create([…], update_conflicts=True, "
            "unique_fields=[…], update_fields=[…])"
        )
    if method == "create":
        return Fix(f"{name}.objects.bulk_create([…])")
    if method in ("bulk_create", "bulk_update"):
        fields = ", [fields]" if method == "bulk_update" else ""
        return Fix(f"{name}.objects.{method}(collected{fields}), once after the loop")
    if method == "save":
        return Fix(f"{name}.objects.bulk_update([…], [fields])")
    if method == "delete":
        by = "pk" if access.kind not in _MANY else "…"
        return Fix(f"{name}.objects.filter({by}__in=[…]).delete()")
    if method == "update":
        return Fix(f"{name}.objects.filter(pk__in=[…]).update(…), or bulk_update([…], [fields])")
    return Fix("executemany, or one statement for all rows")


def _lookup(group: Group) -> Fix:
    access = group.access
    name = access.target.__name__ if access.target else "Model"
    if access.method == "get":
        return Fix(f"{name}.objects.in_bulk([…]) before the loop")
    if access.method == "count":
        return Fix(f'{name}.objects.filter(….__in=[…]).values("…").annotate(Count("pk"))')
    if access.method in ("exists", "first", "last"):
        return Fix(f"{name}.objects.filter(….__in=[…]) before the loop, by key in a dictionary")
    return Fix(f"{name}.objects.filter(….__in=[…]) before the loop")


def _chain(group: Group) -> tuple[str, str]:
    """Return the path from the queryset that all began with, and where that one is evaluated."""
    path, current = [group.access.name], group
    for _ in range(8):
        provider = current.provider
        if provider is None:
            return "__".join(path), ""
        if provider.path:
            path.insert(0, provider.path)
        current = provider.group
        if current.access.kind not in _ONE | _MANY or current.count < 2:
            return "__".join(path), current.queryset_location
        path.insert(0, current.access.name)
    return "__".join(path), ""


def _passes_many(group: Group) -> bool:
    current = group
    for _ in range(8):
        provider = current.provider
        if provider is None:
            return False
        current = provider.group
        if current.access.kind == "prefetch":
            return True
        model = current.access.target
        for at, name in enumerate(provider.path.split("__") if provider.path and model else ()):
            if at == 0 and is_to_many(model, name):  # type: ignore[arg-type]
                return True
        if current.access.kind not in _ONE | _MANY or current.count < 2:
            return False
        if current.access.kind in _MANY:
            return True
    return False

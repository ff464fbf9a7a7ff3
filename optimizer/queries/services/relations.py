"""Which relation, field or method a query is for, read from Django's own frames.

Read once for each (fingerprint, site), so nothing here is on the hot path.
"""

from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.db.models import Model, QuerySet
from django.db.models.fields.related_descriptors import (
    ForwardManyToOneDescriptor,
    ReverseOneToOneDescriptor,
)
from django.db.models.query import RawQuerySet, prefetch_one_level
from django.db.models.query_utils import DeferredAttribute

from optimizer.queries.services.paths import relation


@dataclass(slots=True)
class Access:
    """What asked for a query.

    `kind`: forward, reverse_one, reverse_many, many_to_many, deferred, generic_foreign_key,
    generic_relation, queryset, raw, save, delete, through, prefetch. `name` is the relation's or
    field's name as `model` has it; `method` is what was called of a queryset ("" for iteration).
    A prefetch has a `target` only where its kind shows with the rows: of a generic foreign key.
    """

    kind: str
    model: type[Model] | None = None  # that has the relation or field
    name: str = ""
    query_name: str = ""  # how filters and aggregates name it
    target: type[Model] | None = None
    method: str = ""
    is_plain: bool = True  # nothing was asked of the related objects but all of them
    is_prefetched: bool = False
    is_proxy_of_many: bool = False
    expressions: str = ""  # of an aggregate, as code over the related objects


_FORWARD: CodeType = ForwardManyToOneDescriptor.__get__.__code__
_REVERSE_ONE: CodeType = ReverseOneToOneDescriptor.__get__.__code__
_DEFERRED: CodeType = DeferredAttribute.__get__.__code__
_GENERIC_FK: CodeType = GenericForeignKey.__get__.__code__
_PREFETCH: CodeType = prefetch_one_level.__code__
_GENERIC_PREFETCH: CodeType = GenericForeignKey.get_prefetch_querysets.__code__  # type: ignore[attr-defined]
_SAVE: CodeType = Model.save.__code__
_DELETE: CodeType = Model.delete.__code__
_RAW: CodeType = RawQuerySet.iterator.__code__
_METHODS: dict[CodeType, str] = {
    getattr(QuerySet, name).__code__: name
    for name in (
        "get", "first", "last", "earliest", "latest", "exists", "contains", "count", "aggregate",
        "create", "get_or_create", "update_or_create", "update", "delete", "in_bulk",
        "bulk_create", "bulk_update", "iterator", "explain",
    )
}  # fmt: skip
_METHODS[QuerySet._fetch_all.__code__] = ""
_UNIQUE: CodeType = Model._perform_unique_checks.__code__  # type: ignore[attr-defined]


def read_access(frames: list[FrameType]) -> Access:
    """Return what the frames between a query and the user's line say of it."""
    found: Access | None = None
    for frame in frames:  # the innermost first; the outermost that says something wins
        said = _said(frame, found)
        if said is not None:
            found = said
    return found or Access("raw")


def _said(frame: FrameType, inner: Access | None) -> Access | None:
    code, local = frame.f_code, frame.f_locals
    if code is _FORWARD:
        field_ = local["self"].field
        owner: Any = type(local["instance"]) if local.get("instance") is not None else field_.model
        return Access("forward", owner, field_.name, field_.name, field_.related_model)
    if code is _REVERSE_ONE:
        related: Any = local["self"].related
        reverse = str(related.get_accessor_name())
        return Access("reverse_one", related.model, reverse, related.name, related.related_model)
    if code is _DEFERRED:
        attribute: Any = local["self"].field
        holder: Any = type(local.get("instance"))
        return Access("deferred", holder, attribute.attname, attribute.name)
    if code is _GENERIC_FK:
        key: Any = local["self"]
        owner = type(local.get("instance"))
        return Access("generic_foreign_key", owner, key.name, key.name)
    if code is _GENERIC_PREFETCH:
        return Access("prefetch", target=inner.target if inner is not None else None)
    if code is _PREFETCH:
        lookup = local["lookup"]
        target = inner.target if inner is not None and inner.kind == "prefetch" else None
        reached = str(lookup.get_current_prefetch_to(local["level"]))
        return Access("prefetch", name=str(lookup.prefetch_to), query_name=reached, target=target)
    if code is _SAVE or code is _DELETE:
        model = type(local["self"])
        adding = bool(code is _SAVE and local["self"]._state.adding)
        method = "create" if adding else "save" if code is _SAVE else "delete"
        if inner is not None and inner.kind in ("forward", "deferred"):
            return None
        return Access("save" if code is _SAVE else "delete", model, method=method)
    if code is _UNIQUE:
        return Access("queryset", type(local["self"]), method="validate_unique")
    if code is _RAW:
        return Access("raw", local["self"].model, method="raw")
    called = _METHODS.get(code)
    if called is not None and isinstance(local.get("self"), QuerySet):
        if inner is not None and inner.kind == "prefetch":
            return inner
        if inner is not None and inner.kind == "save":
            return Access("save", inner.model, method=called)
        if called == "aggregate":
            return _aggregated(local)
        if called in ("get_or_create", "update_or_create"):
            return Access("save", local["self"].model, method=called)
        return _of_queryset(local["self"], called)
    return _of_manager(code.co_name, local.get("self"))


def _of_manager(method: str, manager: Any) -> Access | None:
    """Read a many-to-many manager's own methods, whose classes are made at run time."""
    if method not in ("count", "exists", "add", "remove", "set", "clear"):
        return None
    name = getattr(manager, "prefetch_cache_name", None)
    if not isinstance(name, str):  # some objects have an answer to any name
        return None
    owner = type(manager.instance)
    found = relation(owner, name)
    kind = "many_to_many" if method in ("count", "exists") else "through"
    query_name = found.name if found is not None else name
    return Access(kind, owner, name, query_name, manager.model, method)


def _aggregated(local: dict[str, Any]) -> Access:
    """Read what is aggregated, and over which relation."""
    queryset = local["self"]
    access = _of_queryset(queryset, "aggregate")
    if access.kind == "queryset":
        access = _by_key(queryset) or access
    named = {f"{access.name or 'value'}_{at}": one for at, one in enumerate(local.get("args", ()))}
    parts = []
    for name, one in {**named, **local.get("kwargs", {})}.items():
        sources = [source for source in one.get_source_expressions() if source is not None]
        column = str(getattr(sources[0], "name", "pk")) if sources else "pk"
        path = f"{access.query_name}__{column}" if access.query_name else column
        parts.append(f'{name}={type(one).__name__}("{path}")')
    access.expressions = ", ".join(parts)
    return access


def _by_key(queryset: Any) -> Access | None:
    """Read `Model.objects.filter(parent=…)` as what it is: the parent's related objects."""
    for one in queryset.query.where.children:
        key: Any = getattr(getattr(one, "lhs", None), "target", None)
        if getattr(key, "many_to_one", False) and getattr(one, "lookup_name", "") == "exact":
            related = key.remote_field
            if related.hidden:
                return None
            return Access(
                "reverse_many",
                key.related_model,
                related.get_accessor_name(),
                related.name,
                queryset.model,
                "aggregate",
                is_plain=False,
            )
    return None


def _of_queryset(queryset: Any, method: str) -> Access:
    instance = queryset._hints.get("instance")
    if instance is not None and queryset._known_related_objects:
        return _reverse_many(queryset, method, instance)
    if instance is not None:
        found = _many_to_many(queryset, method, instance)
        if found is not None:
            return found
    found = _generic_relation(queryset, method)
    return found or Access("queryset", queryset.model, method=method, target=queryset.model)


def _reverse_many(queryset: Any, method: str, instance: Model) -> Access:
    key = next(iter(queryset._known_related_objects))
    related: Any = key.remote_field
    name = str(related.get_accessor_name())
    return Access(
        "reverse_many",
        type(instance),
        name,
        related.name,
        queryset.model,
        method,
        is_plain=_is_plain(queryset, 1),
        is_prefetched=_has_prefetched(instance, name),
    )


def _many_to_many(queryset: Any, method: str, instance: Model) -> Access | None:
    tables = set(queryset.query.alias_map) | {
        getattr(one, "table_name", "") for one in queryset.query.alias_map.values()
    }
    columns = _compared(queryset)
    options = type(instance)._meta
    for one in options.many_to_many:
        related: Any = one.remote_field
        if related.through._meta.db_table in tables and _same(one.related_model, queryset.model):
            table = related.through._meta.db_table
            if (
                _same(one.model, one.related_model)
                and (table, one.m2m_column_name()) not in columns
            ):
                continue  # of a relation to its own kind, the other end asks
            return _through(queryset, method, instance, one.name, one.name)
    for other in options.related_objects:
        if not other.many_to_many:
            continue
        through: Any = other.through  # type: ignore[attr-defined]
        if through._meta.db_table in tables and _same(other.related_model, queryset.model):
            name = other.get_accessor_name() or other.name
            return _through(queryset, method, instance, name, other.name)
    return None


def _compared(queryset: Any) -> set[tuple[str, str]]:
    """Return the columns that the conditions compare, each with its table."""
    keys = [getattr(one, "lhs", None) for one in queryset.query.where.children]
    targets = [getattr(key, "target", None) for key in keys]
    return {(one.model._meta.db_table, one.column) for one in targets if one is not None}


def _through(queryset: Any, method: str, instance: Model, name: str, query_name: str) -> Access:
    return Access(
        "many_to_many",
        type(instance),
        name,
        query_name,
        queryset.model,
        method,
        is_plain=_is_plain(queryset, 1),
        is_prefetched=_has_prefetched(instance, name),
    )


def _generic_relation(queryset: Any, method: str) -> Access | None:
    """Match the content type in the condition to a GenericRelation of its model."""
    from django.contrib.contenttypes.models import ContentType

    for key in queryset.model._meta.private_fields:
        if not isinstance(key, GenericForeignKey):
            continue
        of = next(
            (
                one.rhs
                for one in queryset.query.where.children
                if getattr(getattr(getattr(one, "lhs", None), "target", None), "name", "")
                == key.ct_field
            ),
            None,
        )
        # Only what is remembered: a query here would be one of the program's.
        known: Any = ContentType.objects._cache.get(queryset.db, {}).get(of)  # type: ignore[attr-defined]
        model = known.model_class() if known is not None else None
        for one in model._meta.private_fields if model is not None else ():
            if isinstance(one, GenericRelation) and one.related_model is queryset.model:
                return Access(
                    "generic_relation",
                    model,
                    one.name,
                    one.name,
                    queryset.model,
                    method,
                    is_plain=_is_plain(queryset, 2),
                )
    return None


def _is_plain(queryset: Any, conditions: int) -> bool:
    query = queryset.query
    return (
        len(query.where.children) <= conditions
        and not query.annotations
        and not query.distinct
        and not query.is_sliced
        and queryset._fields is None
        and not (query.order_by and query.order_by != tuple(queryset.model._meta.ordering))
    )


def _has_prefetched(instance: Model, name: str) -> bool:
    return name in getattr(instance, "_prefetched_objects_cache", {})


def _same(one: Any, other: Any) -> bool:
    return one._meta.concrete_model is other._meta.concrete_model

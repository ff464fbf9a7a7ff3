"""What select_related and prefetch_related bring along, and whether anybody reads it.

The dictionaries in which Django keeps loaded relations are replaced, object by object, by ones that
count reads: Django itself is not patched, and to everybody else they are dictionaries.
"""

from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.db.models.query import prefetch_one_level

if TYPE_CHECKING:
    from optimizer.queries.services.units import Group

_PREFETCH = prefetch_one_level.__code__


@dataclass(slots=True, eq=False)
class Loaded:
    """One relation that a queryset loads along: for how many objects, and how often it was read."""

    group: "Group"
    method: str
    path: str
    count: int = 0
    reads: int = 0


class CountingDict(dict[str, Any]):
    """A dictionary of loaded relations that counts reads of some of them."""

    __slots__ = ("counted",)
    counted: dict[str, Loaded]

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)  # first: a prefetch itself looks in vain
        loaded = self.counted.get(name)
        if loaded is not None:
            loaded.reads += 1
        return found

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


def _counting(held: dict[str, Any], name: str, loaded: Loaded) -> dict[str, Any]:
    if not isinstance(held, CountingDict):
        held = CountingDict(held)
        held.counted = {}
    elif name not in held.counted:
        held.counted = dict(held.counted)  # it may be shared
    held.counted[name] = loaded
    loaded.count += 1
    return held


def watch_loads(group: "Group", frames: list[FrameType], queryset: Any) -> list[Loaded]:
    """Watch what the queryset joins to its rows, for the query that is running."""
    for frame in frames:
        compiler = frame.f_locals.get("self")
        information = getattr(compiler, "klass_info", None)
        query: Any = getattr(compiler, "query", None)
        if information is not None and query is not None and query.model is queryset.model:
            return _watch_joins(group, information, "")
    return []


def _watch_joins(group: "Group", information: dict[str, Any], before: str) -> list[Loaded]:
    found = []
    counted: dict[str, Loaded] = {}  # shared by all instances, for it is the same for each
    for below in information.get("related_klass_infos", ()):
        field, set_local = below["field"], below["local_setter"]
        name = field.remote_field.get_accessor_name() if below["reverse"] else field.name
        cache_name = field.remote_field.cache_name if below["reverse"] else field.cache_name
        path = f"{before}__{name}" if before else name
        loaded = counted[cache_name] = Loaded(group, "select_related", path)
        below["local_setter"] = _setter(set_local, loaded, counted)
        found += [loaded, *_watch_joins(group, below, path)]
    return found


def _setter(set_local: Any, loaded: Loaded, counted: dict[str, Loaded]) -> Any:
    def setter(instance: Any, related: Any) -> None:
        if instance is not None and related is not None:
            state = instance._state.__dict__
            held = state.get("fields_cache", ())
            if type(held) is not CountingDict:
                held = state["fields_cache"] = CountingDict(held)
                held.counted = counted
            loaded.count += 1
        set_local(instance, related)

    return setter


def watch_prefetch(group: "Group", frames: list[FrameType]) -> list[Loaded]:
    """Watch what the prefetch that is running gives to its instances."""
    for frame in frames:
        if frame.f_code is _PREFETCH:
            local = frame.f_locals
            lookup, level = local["lookup"], local["level"]
            loaded = Loaded(group, "prefetch_related", str(lookup.get_current_prefetch_to(level)))
            to_attr, as_attr = lookup.get_current_to_attr(level)
            if as_attr:  # a plain attribute, whose reads nobody sees
                return []
            for instance in local["instances"]:
                _watch_instance(instance, to_attr, loaded)
            return [loaded]
    return []


def _watch_instance(instance: Any, name: str, loaded: Loaded) -> None:
    if not isinstance(instance, Model):
        return
    state: Any = instance._state
    state.fields_cache = _counting(state.fields_cache, name, loaded)
    held = getattr(instance, "_prefetched_objects_cache", None)
    if held is None:
        held = {}
    instance._prefetched_objects_cache = _counting(held, name, loaded)  # type: ignore[attr-defined]

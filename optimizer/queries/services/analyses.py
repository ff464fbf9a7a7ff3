"""What a query at its place means: read from the stack on first sight, then kept.

The key is (fingerprint, site); what a model's change would alter is forgotten with it.
"""

from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.signals import class_prepared, post_migrate

from optimizer.queries.engine.fingerprint import Shape
from optimizer.queries.services.frames import (
    Key,
    Stack,
    TemplateLine,
    caller_of,
    django_frames,
    location_of,
    template_line,
)
from optimizer.queries.services.origins import made_at
from optimizer.queries.services.paths import models_along
from optimizer.queries.services.relations import Access, read_access

MAX_ANALYSES = 10_000
_FIRST_LOOKS = 8
_LOOK_EVERY = 32


@dataclass(eq=False)
class Analysis:
    """A query at its place: who asks, for which relation, and which models it brings along.

    `provides` are the models whose instances come from it, each with the path within its queryset.
    """

    shape: Shape
    stack: Stack
    template: TemplateLine | None
    access: Access
    made_at: str = ""
    provides: list[tuple[type[Model], str]] = field(default_factory=list)
    loads: str = ""  # "join" or "prefetch", where something is loaded along
    looks: int = 0
    sample: str = ""  # what to ask for its plan with, where that is not its text

    def is_looked_at(self) -> bool:
        """Say whether this time it is worth seeing who reads what is loaded: often at first."""
        self.looks += 1
        return self.looks <= _FIRST_LOOKS or self.looks % _LOOK_EVERY == 0

    @cached_property
    def climbs(self) -> bool:
        """Whether rows are asked for their own kind's rows: a tree may be climbed."""
        return self.access.kind == "forward" and self.access.target is self.access.model

    @cached_property
    def location(self) -> str:
        """The line of the user's code, or of the template, that asks."""
        if self.template is not None and (self.template.is_users or not self.stack):
            return str(self.template)
        return location_of(self.stack[0]) if self.stack else ""

    @cached_property
    def queryset_location(self) -> str:
        """The line to change: where the queryset is made, as far as that is known."""
        return self.made_at or (location_of(self.stack[0]) if self.stack else "")


analyses: dict[tuple[str, Key], Analysis] = {}


def _forget(**_: Any) -> None:
    analyses.clear()


class_prepared.connect(_forget, dispatch_uid="queries.analyses")
post_migrate.connect(_forget, dispatch_uid="queries.analyses")


def analyse(key: tuple[str, Key], shape: Shape, frame: FrameType, awaiting: Stack) -> Analysis:
    """Return the analysis of a query that is seen for the first time, and keep it."""
    caller = caller_of(frame, awaiting)
    frames = list(django_frames(frame))
    access = read_access(frames)
    line = template_line(caller.node) if caller.node is not None else None
    found = Analysis(shape, caller.stack, line, access)
    _read_queryset(found, frames, frame)
    if len(analyses) >= MAX_ANALYSES:
        analyses.clear()
    analyses[key] = found
    return found


def queryset_of(frames: list[FrameType], model: Any) -> Any:
    """Return the queryset of a model that is being evaluated, None where there is none."""
    return next(
        (
            one
            for frame in frames
            if isinstance(one := frame.f_locals.get("self"), QuerySet) and one.model is model
        ),
        None,
    )


def concrete(model: Any) -> type[Model]:
    """Return the model that has the table."""
    found: type[Model] = model._meta.concrete_model or model
    return found


def _read_queryset(found: Analysis, frames: list[FrameType], frame: FrameType) -> None:
    """Note which models the queryset brings along by select_related and prefetch_related."""
    access = found.access
    if access.target is not None:
        path = access.query_name if access.kind == "prefetch" else ""
        found.provides.append((concrete(access.target), path))
    queryset = queryset_of(frames, access.target)
    if access.kind == "prefetch":
        found.loads = "prefetch"
        found.made_at = made_at(_outermost(frames), frame)
    if queryset is None or access.kind == "prefetch":
        return
    found.made_at = made_at(_outermost(frames), frame)
    chosen = queryset.query.select_related
    paths = list(_flattened(chosen)) if isinstance(chosen, dict) else []
    if chosen and access.kind != "prefetch":
        found.loads = "join"
    for lookup in queryset._prefetch_related_lookups:
        paths.append(getattr(lookup, "prefetch_to", lookup))
    for path in paths:
        found.provides += [
            (concrete(model), prefix) for model, prefix in models_along(queryset.model, path)
        ]


def _outermost(frames: list[FrameType]) -> Any:
    """Return the queryset that the user's code holds."""
    querysets = [frame.f_locals.get("self") for frame in frames]
    return next((one for one in reversed(querysets) if isinstance(one, QuerySet)), None)


def _flattened(chosen: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for name, below in chosen.items():
        path = f"{before}__{name}" if before else name
        found += [path, *_flattened(below, path)]
    return found

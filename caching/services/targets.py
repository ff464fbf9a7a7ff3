"""What is to be invalidated, as an admin, a command or a program says it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from caching.decorators import tiered
from caching.engine.patterns import BadPattern, parse
from caching.services import entries, invalidation, records
from caching.services.entries import BadArgument
from caching.services.invalidation import BadTag

EVERYTHING = parse("*")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """A tag; or keys, or a pattern, or all of a namespace. Raises BadArgument."""

    namespace: str | None = None
    keys: Sequence[str] | None = None
    pattern: str | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        if self.tag is not None:
            others = {"namespace": self.namespace, "keys": self.keys, "pattern": self.pattern}
            for field, given in others.items():
                if given is not None:
                    raise BadArgument(field, "Must not be given with a tag.")
        elif self.namespace is None:
            raise BadArgument(
                "namespace", "Give a namespace, with keys, a pattern or none; or a tag."
            )
        elif self.keys is not None and self.pattern is not None:
            raise BadArgument("pattern", "Must not be given with keys.")
        elif self.keys is not None and not 1 <= len(self.keys) <= entries.MAX_KEYS:
            raise BadArgument("keys", f"Give 1 to {entries.MAX_KEYS} keys.")

    @property
    def words(self) -> str:
        """What it is, as people say it."""
        if self.tag is not None:
            return f"tag {self.tag}"
        if self.keys is not None:
            return f"{len(self.keys)} key{'' if len(self.keys) == 1 else 's'} of {self.namespace}"
        if self.pattern is not None:
            return f"pattern {self.pattern} of {self.namespace}"
        return f"namespace {self.namespace}"


@dataclass(frozen=True, slots=True)
class Invalidated:
    """How many values went, None where nobody counts; or that Redis is away and will be told."""

    count: int | None
    waiting: bool = False


def invalidate(target: Target) -> Invalidated:
    """Invalidate, and record it; a whole namespace is out of reach at once, and not counted.

    Raises UnknownNamespace and BadArgument.
    """
    if target.namespace is None:
        cache = tiered()
        cache.engine.ready()
        count: int | None = _checked("tag", invalidation.tag, cache, target.tag)
    elif target.keys is not None:
        count = entries.delete_many(target.namespace, target.keys)
    else:
        at = entries.place(target.namespace)
        if target.pattern is None:
            invalidation.namespaces(at.cache, (at.space.name,))
            count = None
        else:
            count = _checked(
                "pattern", invalidation.pattern, at.cache, target.pattern, space=at.space
            )
    waiting = entries.is_waiting()
    done = Invalidated(None if waiting else count, waiting)
    if target.keys is None:  # many at once are recorded, as they may be missed
        records.note(target.words, done.count, done.waiting)
    return done


def count(target: Target) -> int | None:
    """Count what `invalidate` would invalidate, some of it expired perhaps, and change nothing.

    None where each process has values of its own. Raises as `invalidate` does, and Away.
    """
    if target.namespace is None:
        tag = _checked("tag", invalidation.checked_tag, target.tag)
        return tiered().tiers.remote.tagged(tag)
    at = entries.place(target.namespace)
    remote = at.cache.tiers.remote
    if target.pattern is not None:  # first, so that a bad one is told in any namespace
        fitting = functools.partial(invalidation.count, at.cache, target.pattern, space=at.space)
        return _checked("pattern", fitting) if at.space.settings.l2 else None
    names = at.names(target.keys or ())
    if not at.space.settings.l2:
        return None
    if target.keys is not None:
        return remote.existing(at.space, list(names))
    return remote.count(at.space.name, EVERYTHING, "")


def _checked(field: str, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    try:
        return call(*arguments, **options)
    except (BadPattern, BadTag) as error:
        says = str(error)
        raise BadArgument(field, f"{says[:1].upper()}{says[1:]}.") from error

"""Values by namespace and key: what the API and the admin's inspector ask for.

A key is relative: the namespace's prefix comes before it. A namespace has only those keys that no
longer prefix takes away from it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from caching.backends import TieredCache
from caching.decorators import tiered
from caching.engine import inspecting
from caching.engine.inspecting import Inspected
from caching.engine.namespace import Space
from caching.services.transactions import GONE

MAX_KEY_LENGTH = 800  # the prefix, the version and the project's own prefix come before it
MAX_KEYS = 1000
_unusable = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]").search  # no address can hold them


class UnknownNamespace(LookupError):
    """A namespace that no admin has made; `known` are those there are."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no namespace {name!r}. Known: {', '.join(known)}.")
        self.name, self.known = name, known


class BadArgument(ValueError):
    """An argument that cannot be used; `field` names it, the text says what is allowed."""

    def __init__(self, field: str, says: str) -> None:
        super().__init__(says)
        self.field = field


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace within the main cache."""

    cache: TieredCache
    space: Space

    def key(self, relative: str, field: str = "key") -> str:
        """Return the key that Django's cache knows. Raises BadArgument."""
        full = self.space.settings.prefix + relative
        owner = self.cache.tiers.spaces.of(full)
        if not 1 <= len(relative) <= MAX_KEY_LENGTH:
            raise BadArgument(field, f"A key must have 1 to {MAX_KEY_LENGTH} characters.")
        if _unusable(relative):
            raise BadArgument(field, f"{relative!r} must have no control characters.")
        if owner is not self.space:
            raise BadArgument(
                field,
                f"{relative!r} belongs to the namespace {owner.name}, whose prefix is "
                f"{owner.settings.prefix!r}.",
            )
        return full

    def name(self, relative: str, field: str = "key") -> str:
        """Return the full name that a value is stored under. Raises BadArgument."""
        return self.cache.name_of(self.key(relative, field))

    def names(self, relatives: Iterable[str], field: str = "keys") -> dict[str, str]:
        """Return the keys that Django's cache knows, by full names. Raises BadArgument."""
        return {self.name(one, field): self.key(one) for one in relatives}


def place(namespace: str) -> Place:
    """Return a namespace of the main cache. Raises UnknownNamespace."""
    cache = tiered()
    cache.engine.ready()
    space = cache.tiers.spaces.by_name.get(namespace)
    if space is None:
        raise UnknownNamespace(namespace, sorted(cache.tiers.spaces.by_name))
    return Place(cache, space)


def is_waiting() -> bool:
    """Say whether Redis is away, so that what was changed is queued, and told to it later."""
    return tiered().tiers.pending.waiting


def inspect(namespace: str, key: str) -> Inspected | None:
    """Return what is known of a key, stale values too; it does not count as a use.

    Raises UnknownNamespace and BadArgument.
    """
    at = place(namespace)
    return inspecting.inspect(at.cache.tiers, at.name(key), at.key(key))


def get(namespace: str, key: str) -> Inspected | None:
    """Return a value and its circumstances, None where there is none; raises as `inspect` does."""
    at = place(namespace)
    found = inspecting.inspect(at.cache.tiers, at.name(key), at.key(key), keep=True)
    if found is None or found.is_stale:
        at.space.count("misses")
        return None
    at.space.count(f"{found.tier}_hits")
    return found


def get_many(namespace: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values that are there, by their keys; raises as `inspect` does."""
    at = place(namespace)
    full = {at.key(one, "keys"): one for one in keys}
    return {full[key]: value for key, value in at.cache.get_many(full).items()}


def put(
    namespace: str,
    key: str,
    value: Any,
    ttl_seconds: Any = DEFAULT_TIMEOUT,
    tags: Sequence[str] = (),
) -> bool:
    """Store a value, by default for the namespace's time to live, with None for ever.

    False where it is too large: then nothing is left under the key. Raises as `inspect` does,
    BadTag, and what the namespace's codec raises for a value that it does not know.
    """
    return not put_many(namespace, {key: value}, ttl_seconds, tags, field="key")


def put_many(
    namespace: str,
    values: Mapping[str, Any],
    ttl_seconds: Any = DEFAULT_TIMEOUT,
    tags: Sequence[str] = (),
    *,
    field: str = "values",
) -> list[str]:
    """Store values as `put` does; return the keys of those that are too large."""
    at = place(namespace)
    full = {at.key(one, field): one for one in values}
    stored = {key: values[one] for key, one in full.items()}
    return [full[one] for one in at.cache.set_many(stored, ttl_seconds, tags=tags)]


def delete(namespace: str, key: str) -> bool:
    """Delete a key; say whether there was a value; raises as `inspect` does."""
    return delete_many(namespace, [key], field="key") > 0


def delete_many(namespace: str, keys: Sequence[str], *, field: str = "keys") -> int:
    """Delete keys; return how many values there were; raises as `inspect` does."""
    at = place(namespace)
    names = at.names(keys, field)
    count: int | None = at.cache.write(
        dict.fromkeys(names, GONE), lambda: at.cache.tiers.delete(list(names.items()))
    )
    return count or 0  # None: a transaction does it when it is committed

"""Invalidation of many: by pattern, by tag, by namespace; in a transaction, with its commit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from caching.engine.namespace import Space
from caching.engine.patterns import parse
from caching.engine.remote import fits

if TYPE_CHECKING:
    from caching.backends import TieredCache

MAX_TAGS = 16
MAX_TAG_LENGTH = 100


class BadTag(ValueError):
    """A tag, or a number of them, that cannot be used; says what is allowed."""


def checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Return the tags, each once. Raises BadTag."""
    if not tags:
        return ()
    if isinstance(tags, str):
        raise BadTag("tags must be a list of texts, not one text")
    found = tuple(dict.fromkeys(tags))
    if len(found) > MAX_TAGS:
        raise BadTag(f"a value may have at most {MAX_TAGS} tags")
    for tag in found:
        checked_tag(tag)
    return found


def checked_tag(tag: str) -> str:
    """Return the tag. Raises BadTag."""
    if not isinstance(tag, str) or not 1 <= len(tag) <= MAX_TAG_LENGTH or not tag.isprintable():
        raise BadTag(f"a tag must have 1 to {MAX_TAG_LENGTH} printable characters")
    return tag


def pattern(
    cache: "TieredCache", text: str, version: int | None = None, *, space: Space | None = None
) -> int:
    """Delete the keys that fit a glob; return how many values. Raises BadPattern.

    With a namespace only its own keys, and the glob is of what comes behind its prefix.
    """
    parsed, head = parse(text), _head(cache, version, space)
    count = cache.write(
        {},
        lambda: cache.tiers.invalidate_pattern(head, parsed, [space] if space else None),
        lambda name: fits(parsed, head, name),
    )
    return count or 0


def count(
    cache: "TieredCache", text: str, version: int | None = None, *, space: Space | None = None
) -> int:
    """Count the keys that fit a glob; some may have expired. Raises BadPattern and Away.

    With a namespace as in `pattern`.
    """
    parsed, head = parse(text), _head(cache, version, space)
    spaces = [space] if space else cache.tiers.spaces.within(parsed.literal)
    return sum(cache.tiers.remote.count(one.name, parsed, head) for one in spaces)


def _head(cache: "TieredCache", version: int | None, space: Space | None) -> str:
    return cache.head_of(version) + (space.settings.prefix if space else "")


def tag(cache: "TieredCache", name: str) -> int:
    """Delete what has the tag; return how many values. Raises BadTag.

    In a transaction its own later reads find nothing: which copies have the tag only Redis knows.
    """
    checked_tag(name)
    return cache.write({}, lambda: cache.tiers.invalidate_tag(name), lambda _: True) or 0


def namespaces(cache: "TieredCache", names: Sequence[str]) -> None:
    """Begin a new generation of namespaces: what they held is out of reach at once."""
    cache.write({}, lambda: cache.tiers.invalidate_spaces(names), lambda _: True)

"""Which rows are sent, in which order: one a key, by key, so that two writers take their locks
alike.
"""

from collections.abc import Hashable, Sequence
from operator import itemgetter
from typing import Any


def fold(
    keys: Sequence[Sequence[Any]],
    sequences: Sequence[Any] | None = None,
    *,
    nulls_distinct: bool = True,
) -> list[int]:
    """Return the positions of the rows that stay, sorted by key.

    `keys` are the key's columns. Of one key the last row stays, or the last of those with the
    highest sequence. A key with None in it equals no other, unless `nulls_distinct` is false.
    """
    if all_differ(keys):
        return sort(keys)
    values, lonely = _values(keys), list[int]()
    if nulls_distinct and any(None in column for column in keys):
        lonely = [number for number, row in enumerate(zip(*keys, strict=True)) if None in row]
    try:
        kept = _last(values, sequences)
    except TypeError:  # a list or a dict
        values = [repr(value) for value in values]
        kept = _last(values, sequences)
    if lonely:
        for number in lonely:
            kept.pop(values[number], None)
        by_none = sorted(lonely, key=lambda number: _anyhow(values[number]))
        return [*by_key(kept), *by_none]
    return by_key(kept)


def all_differ(keys: Sequence[Sequence[Any]]) -> bool:
    """Say whether no key comes twice, nor has a None in it."""
    values = _values(keys)
    try:
        different = set(values)
    except TypeError:  # a list or a dict
        return False
    if len(different) != len(values):
        return False
    return not any(None in (different if len(keys) == 1 else column) for column in keys)


def sort(keys: Sequence[Sequence[Any]]) -> list[int]:
    """Return all positions sorted by key; equal ones keep their order."""
    values = _values(keys)
    positions = range(len(values))
    try:
        return sorted(positions, key=values.__getitem__)
    except TypeError:
        return sorted(positions, key=lambda number: _anyhow(values[number]))


def by_key(kept: dict[Hashable, int]) -> list[int]:
    """Return the positions of a mapping, sorted by its keys, whatever these are."""
    try:
        return list(map(kept.__getitem__, sorted(kept)))  # type: ignore[type-var]  # seen below
    except TypeError:  # None, or types without an order
        return [kept[key] for key in sorted(kept, key=_anyhow)]


def pick(rows: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    """Return the rows at these positions."""
    if len(positions) < 2:
        return [rows[number] for number in positions]
    return list(itemgetter(*positions)(rows))


def _values(keys: Sequence[Sequence[Any]]) -> Sequence[Any]:
    return keys[0] if len(keys) == 1 else list(zip(*keys, strict=True))


def _last(values: Sequence[Any], sequences: Sequence[Any] | None) -> dict[Hashable, int]:
    kept = dict(zip(values, range(len(values)), strict=True))
    if sequences is None or len(kept) == len(values):
        return kept
    kept = {}
    for number, value in enumerate(values):
        best = kept.get(value)
        if best is None or not _older(sequences[number], sequences[best]):
            kept[value] = number
    return kept


def _older(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None and other is not None
    return bool(one < other)


def _anyhow(value: Any) -> list[tuple[str, str]]:
    parts = value if isinstance(value, tuple) else (value,)
    return [(type(part).__name__, str(part)) for part in parts]

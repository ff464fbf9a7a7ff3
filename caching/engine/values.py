"""How the first tier holds a value: immutable ones as they are, mutable ones as bytes.

Who gets a value may change it, and nobody else sees that; as bytes a value takes a fraction of the
memory, too. MessagePack reads plain data twice as fast as pickle, which takes what it cannot.
"""

import datetime
import decimal
import pickle
import uuid
from collections.abc import Callable
from sys import getsizeof
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

Thaw = Callable[[bytes], Any]

_TIMES = (datetime.datetime, datetime.time)
ATOMS: frozenset[type] = frozenset(
    {
        str, bytes, int, float, bool, complex, type(None), decimal.Decimal, uuid.UUID,
        datetime.date, datetime.timedelta, datetime.datetime, datetime.time,
    }
)  # fmt: skip
_TEXT: frozenset[type] = frozenset({str})
_PLAIN: frozenset[type] = _TEXT | {bytes, float, bool, type(None)}
_ZONES = frozenset({type(None), datetime.timezone, ZoneInfo})
_DEEPEST = 64
_ALLOCATION_BYTES = 8  # an allocator rounds up to 16, so half of that on average


_encode = msgspec.msgpack.Encoder().encode


def freeze(value: Any) -> tuple[Any, Thaw | None]:
    """Return what to keep of a value, and what makes a value of that again (None: it is the value).

    Raises what pickle raises for a value that cannot be pickled.
    """
    if is_immutable(value):
        return value, None
    if _is_plain(value):
        try:
            return _encode(value), msgspec.msgpack.decode
        except UnicodeEncodeError:  # a lone surrogate
            pass
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL), pickle.loads  # noqa: S301  # its own


def is_immutable(value: Any, depth: int = 0) -> bool:
    """Say whether nobody can change the value; a subclass may hold anything, so it is none."""
    kind = type(value)  # a lazy object claims the class of another
    if kind in ATOMS:
        return kind not in _TIMES or type(value.tzinfo) in _ZONES
    if kind in (tuple, frozenset) and depth < _DEEPEST:
        return all(is_immutable(one, depth + 1) for one in value)
    return False


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Say whether MessagePack gives back exactly this: a tuple it would make a list."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is int:
        return bool(-(1 << 63) <= value < 1 << 64)
    if kind not in (dict, list) or depth == _DEEPEST:
        return False
    parts = value
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        parts = value.values()
    # Most hold nothing else than text and the like, which is known in one step.
    return _PLAIN.issuperset(map(type, parts)) or all(_is_plain(one, depth + 1) for one in parts)


def size_of(stored: Any) -> int:
    """Return the bytes that what `freeze` gave takes."""
    if stored is None or stored is True or stored is False:
        return 0  # they exist once
    size = getsizeof(stored) + _ALLOCATION_BYTES
    if stored.__class__ in (tuple, frozenset):
        size += sum(size_of(one) for one in stored)
    elif stored.__class__ is dict:
        size += sum(size_of(key) + size_of(one) for key, one in stored.items())
    return size

"""The line where a queryset is made, which is the one to change: often not the one that runs it."""

import dis
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from optimizer.queries.services.frames import is_user_file, location_of

_FRAMES = 6


def made_at(queryset: Any, frame: FrameType | None) -> str:
    """Return path:line of the assignment of a queryset, or of the expression that it stands in.

    Followed outward through the arguments that hand it on; "" where no user code is on the stack.
    """
    found, looked_at = "", 0
    while frame is not None and looked_at < _FRAMES:
        if is_user_file(frame.f_code.co_filename):
            looked_at += 1
            name = _name_of(queryset, frame)
            if name is None:
                # Handed on by an expression of this line, if an inner frame knew it by a name.
                return location_of((frame.f_code, frame.f_lineno))
            line = _stored(frame.f_code, name, frame.f_lineno)
            if line is not None:
                return location_of((frame.f_code, line))
            found = location_of((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return found


def _name_of(queryset: Any, frame: FrameType) -> str | None:
    return next((name for name, one in frame.f_locals.items() if one is queryset), None)


def _stored(code: CodeType, name: str, before: int) -> int | None:
    """Return the last line up to `before` that assigns the name, None for an argument."""
    lines = [line for stored, line in _stores(code) if stored == name and line <= before]
    return max(lines, default=None)


@lru_cache(maxsize=512)
def _stores(code: CodeType) -> tuple[tuple[str, int], ...]:
    starts, line = dict(dis.findlinestarts(code)), code.co_firstlineno
    found = []
    for one in dis.get_instructions(code):
        line = starts.get(one.offset) or line
        if one.opname.startswith("STORE_") and one.argval is not None:
            # From Python 3.13 on one instruction may store two names.
            names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
            found += [(str(name), line) for name in names]
    return tuple(found)

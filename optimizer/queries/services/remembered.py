"""Whether a function that asks keeps its answers, as `functools.lru_cache` makes it.

Such a one asks once for each key of the process, however often a loop calls it: no N+1, though the
first unit may look like one.
"""

import dis
import sys
from functools import lru_cache
from types import CodeType
from typing import Any

from optimizer.queries.services.frames import Stack


def is_remembered(stack: Stack) -> bool:
    """Say whether a function that keeps its answers stands between the query and any loop."""
    for code, line in stack:
        if code.co_name.startswith("<") or _loops(code, line):
            return False
        if _keeps_answers(code):
            return True
    return False


@lru_cache(maxsize=512)
def _keeps_answers(code: CodeType) -> bool:
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == code.co_filename:
            found: Any = module
            for name in code.co_qualname.split("."):
                found = getattr(found, name, None)
            return callable(getattr(found, "cache_info", None))
    return False


@lru_cache(maxsize=512)
def _loops(code: CodeType, line: int) -> bool:
    """Say whether a line of a function stands in a loop of its."""
    at, offsets = code.co_firstlineno, []
    starts = dict(dis.findlinestarts(code))
    jumps = []
    for one in dis.get_instructions(code):
        at = starts.get(one.offset) or at
        if at == line:
            offsets.append(one.offset)
        if "JUMP_BACKWARD" in one.opname:
            jumps.append((int(one.argval), one.offset))
    return any(start <= offset <= end for start, end in jumps for offset in offsets)

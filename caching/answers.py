"""Values as JSON documents: what of them any language can read."""

from typing import Any

from caching.engine.inspecting import Inspected

DEEPEST = 64
SMALLEST, LARGEST = -(2**63), 2**64 - 1  # MessagePack, and most languages, have no others


def why_not_json(value: Any, depth: int = 0) -> str:
    """Say what of a value JSON cannot say, "" where it can say it all."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if SMALLEST <= value <= LARGEST else "a whole number beyond 64 bits"
    if isinstance(value, float):
        return "" if float("-inf") < value < float("inf") else f"the number {value}"
    if isinstance(value, str):
        return "" if _is_text(value) else "a text with half a surrogate pair"
    if not isinstance(value, dict | list | tuple):
        return f"a Python {type(value).__name__}"
    if depth == DEEPEST:
        return f"more than {DEEPEST} levels of lists and objects"
    if isinstance(value, dict):
        if not all(isinstance(key, str) and _is_text(key) for key in value):
            return "an object with keys that are no texts"
        value = value.values()
    return next((why for one in value if (why := why_not_json(one, depth + 1))), "")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def document(key: str, found: Inspected) -> dict[str, Any]:
    """Return a value and its circumstances as a document."""
    return {
        "key": key,
        "value": found.value,
        "tier": found.tier,
        "ttl_seconds": _rounded(found.ttl_seconds),
        "age_seconds": _rounded(found.age_seconds),
        "size_bytes": found.size_bytes,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
